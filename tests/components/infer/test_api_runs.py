"""Whole runs of `dj-sandbox` that ask a server: killed, interrupted, and with a key that must not be found anywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

pytest.importorskip("openai", reason="pip install -e '.[api]'")
from fault_server import Fault, FaultServer

from data_juicer_sandbox.files import temporary_path

ROWS = 300
JOURNAL = temporary_path(Path("answers/d_inference.jsonl"), ".answers")


@pytest.fixture
def config(jsonl, tmp_path):
    """The config of a run that asks a server."""
    jsonl("d.jsonl", [{"query": f"q{n}"} for n in range(ROWS)])

    def write(server, **given):
        settings = {"type": "api", "model": "m", "api_endpoint": server.url, "max_concurrency": 8, "retry_wait": 0.01}
        job = {
            "hook": "InferModelHook",
            "meta_name": "infer",
            "output": "answers",
            "extra_configs": {**settings, "dataset_path": "d.jsonl", "export_path": "answers", **given},
        }
        (tmp_path / "s.yaml").write_text(yaml.safe_dump({"work_dir": "out", "execution_job_configs": [job]}))
        return "s.yaml"

    return write


@pytest.fixture
def start(tmp_path, support_path):
    """Start a run."""

    def call(path, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", path, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": support_path},
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


def wait_for(server, answered, process):
    while sum(server.answered.values()) < answered:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def written(tmp_path):
    """The rows in the journal, whole lines only."""
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)[1:]
    return [int(line.split()[0]) for line in lines if line.endswith(b"\n")]


def rows(tmp_path):
    return [json.loads(line) for line in (tmp_path / "answers/d_inference.jsonl").read_text().splitlines()]


WANTED = [{"query": f"q{n}", "response": f"answer to q{n}"} for n in range(ROWS)]


def test_killed_again_and_again_no_row_that_was_written_is_asked_again(tmp_path, config, start):
    with FaultServer(latency=0.02, shares={Fault(500): 0.05}, seed=1) as server:
        path = config(server, max_retry_num=9)
        for killed, answered in enumerate((60, 180), 1):
            process = start(path, "--resume", "true")
            wait_for(server, answered, process)
            process.kill()
            process.communicate()
            before, known = Counter(server.answered), written(tmp_path)
            assert len(known) == len(set(known)) >= answered - 8 * killed
        process = start(path, "--resume", "true")
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert rows(tmp_path) == WANTED
        assert not {f"q{n}" for n in known} & set(server.answered - before)
        assert sum(server.answered.values()) <= ROWS + 2 * 8  # what was on its way when it was killed
        assert [file.name for file in (tmp_path / "answers").iterdir()] == ["d_inference.jsonl"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stops_and_goes_on_from_there(tmp_path, config, start, number):
    with FaultServer(latency=0.02, scripted={"q5": [Fault("hang")] * 2, "q6": [Fault(429, "300")]}) as server:
        path = config(server)
        process = start(path)
        while len(server.asked) < 7:  # one hangs for minutes, and no more are sent for minutes
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        assert "interrupted. Results of finished jobs are kept" in said
        assert "Traceback" not in said
        known = written(tmp_path)
        server.scripted = {}
        again = start(path, "--resume", "true")
        _, said = again.communicate(timeout=60)
        assert again.returncode == 0, said
    assert rows(tmp_path) == WANTED
    assert all(server.answered[f"q{n}"] == 1 for n in known)


KEYS = ("lab-7f3a9c1e5b2d4086", "sk-proj-Zx81kQm2Lw93Rt7Yb5Vc")


@pytest.mark.parametrize("given", ["api_key", "model_params", "environment", "headers"])
def test_a_key_is_found_nowhere(tmp_path, config, dj_sandbox, given):
    key = KEYS[given == "environment"]
    settings = {
        "api_key": {"api_key": key},
        "model_params": {"model_params": {"api_key": key}},
        "environment": {},
        "headers": {"model_params": {"default_headers": {"Authorization": f"Bearer {key}"}}},
    }[given]
    environment = {"OPENAI_API_KEY": key} if given == "environment" else {}
    # every refusal tells the key that the request came with; then it is no longer good
    refused = {"q2": [Fault(400)], "q3": [Fault(500)] * 9, **{f"q{n}": [Fault(401)] for n in range(30, 60)}}
    with FaultServer(scripted=refused) as server:
        ran = dj_sandbox("--config", config(server, max_retry_num=1, **settings), "--debug", "true", env=environment)
    assert ran.returncode == 1
    assert all(asked.headers["authorization"] == f"Bearer {key}" for asked in server.asked)
    journal = (tmp_path / JOURNAL).read_text()
    assert re.search(r"fault 400 for q2, which came with (Bearer )?\*\*\*", journal)
    assert re.search(r"/v1 returns status 401: fault 401 for q\d+, which came with (Bearer )?\*\*\*", ran.stderr)
    assert key not in ran.stdout + ran.stderr
    (tmp_path / "s.yaml").unlink()  # where the user wrote it
    for file in (file for file in tmp_path.rglob("*") if file.is_file()):
        assert key.encode() not in file.read_bytes(), file
