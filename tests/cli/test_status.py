"""`dj-sandbox status`: a run that is going on, and one that is not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.parallel.status import FILE, read_status

TOY = "toy_lab.steps."


def config(**keys: Any) -> dict[str, Any]:
    def job(name: str, component: str, **extra: Any) -> dict[str, Any]:
        return {
            "hook": "GeneralDataExecutorHook",
            "meta_name": name,
            "extra_configs": {"type": TOY + component, **extra},
        }

    jobs = [
        job("quick", "Give", value=1),
        job("slow", "MakeRows", export_path="out/a.jsonl", rows=1000, delay=0.1),
        job("later", "Give", value=2),
    ]
    return {"work_dir": "out", "pipelines": {"main": {"execution_job_configs": jobs}}, **keys}


@pytest.fixture(params=["serial", "local"])
def running(request, config_file, tmp_path, support_path):
    """A run whose job `slow` has begun to report progress."""
    path = config_file(config(parallel={"backend": request.param, "max_workers": 1}))
    env = {**os.environ, "PYTHONPATH": support_path}
    command = [sys.executable, "-m", "data_juicer_sandbox.cli.main", str(path)]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not ((status := read_status(Path("out"))) and any(task.completed > 1 for task in status.state.tasks)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    yield process, request.param
    process.send_signal(signal.SIGINT)
    process.communicate()


def test_a_run_that_is_going_on(running, capsys):
    process, backend = running
    assert main(["status", "--work_dir", "out"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    counts = "3 jobs: 1 done, 1 waiting, 1 started" if backend == "serial" else "3 jobs: "
    assert re.match(rf"process {process.pid} on \S+, backend {backend}: {counts}", lines[0])
    assert lines[1].split() == ["task", "where", "since", "progress", "note"] or "in all rows" in lines[1]
    assert re.search(r"main\.slow\s+pid \d+\s+\d+ s\s+writing \d+", "\n".join(lines)) or backend == "local"


def test_it_is_watched_until_it_ends(running, capsys):
    process, _ = running
    process.send_signal(signal.SIGINT)
    assert main(["status", "out", "--watch"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("no run is going on in out: ")
    assert not Path("out", FILE).exists()


def test_a_run_that_has_ended(config_file, capsys):
    settings = config()
    settings["pipelines"]["main"]["execution_job_configs"][1]["extra_configs"].update(rows=1, delay=0.0)
    settings["pipelines"]["main"]["execution_job_configs"][2]["extra_configs"] = {
        "type": TOY + "NeedsFile",
        "path": "nowhere.txt",
    }
    path = config_file(settings)
    assert main([str(path)]) == 1
    assert not Path("out", FILE).exists()
    capsys.readouterr()
    Path("out", FILE).write_text("of a run that was killed")
    assert main(["status", "--config", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "no run is going on in out: 2 jobs done, 1 failed",
        "  main.later failed: nowhere.txt does not exist",
    ]


def test_a_folder_without_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status", "--work_dir", "nowhere"]) == 2
    assert "no run has used this folder" in capsys.readouterr().err
