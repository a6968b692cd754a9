"""`run.json`: what ran, with which versions, on which machine, and how it ended."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

import data_juicer_sandbox
from data_juicer_sandbox.engine import run_file
from data_juicer_sandbox.engine.run_file import PACKAGES, _commit, _versions
from data_juicer_sandbox.file_digests import digest
from data_juicer_sandbox.report import build


def entry(path="out/run.json"):
    return json.loads(Path(path).read_text())


def test_a_run_is_recorded(chain, go, config_file, monkeypatch):
    secret = "sk-abcdefghijklmnop123456"
    monkeypatch.setattr(sys, "argv", ["dj-sandbox", "sandbox.yaml", "--set", f"vars.api_key={secret}"])
    started = time.time()
    assert go(chain, "--set", f"vars.api_key={secret}") == 0
    run = entry()
    assert (run["status"], run["exit_code"], run["error"]) == ("done", 0, None)
    assert started <= run["started"] <= run["ended"] <= time.time()
    assert run["command"] == ["dj-sandbox", "sandbox.yaml", "--set", "vars.api_key=***"]
    assert run["folder"] == str(Path.cwd())
    assert run["config"]["file"].endswith("sandbox.yaml")
    assert run["program"]["version"] == data_juicer_sandbox.__version__
    assert run["python"] == ".".join(map(str, sys.version_info[:3]))
    assert run["packages"]["numpy"] == version("numpy")
    assert run["host"] == os.uname().nodename
    assert run["cores"] == len(os.sched_getaffinity(0))
    assert run["memory_bytes"] > 1 << 28
    assert run["seeds"] == {"make.other.extra_configs.seed": 5}
    assert run["runs"] == []
    assert run["jobs"]["use.scale"] == {"inputs": {"out/data/rows.jsonl": digest("out/data/rows.jsonl")}}
    assert stat.S_IMODE(Path("out/run.json").stat().st_mode) == 0o600
    assert secret not in Path("out/run.json").read_text()


def test_the_digest_of_the_config_is_that_of_what_it_means(chain, go, config_file):
    go(chain)
    before = entry()["config"]["digest"]
    chain["pipelines"]["make"]["execution_job_configs"][1]["extra_configs"]["seed"] = "${vars.seed}"
    go({**chain, "vars": {"seed": 5}}, "--resume")
    assert entry()["config"]["digest"] == before
    go({**chain, "vars": {"seed": 6}}, "--resume")
    assert entry()["config"]["digest"] != before


def test_earlier_runs_are_kept_also_of_a_run_that_was_moved_aside(chain, go, monkeypatch):
    monkeypatch.setattr(run_file, "MAX_RUNS", 2)
    go(chain)
    first = entry()
    extra = chain["pipelines"]["use"]["evaluation_job_configs"][0]["extra_configs"]
    extra["fail"] = True
    assert go(chain, "--force", "rows") == 1
    failed = entry()
    assert (failed["status"], failed["exit_code"]) == ("failed", 1)
    assert failed["resume"] is True
    assert failed["forced"] == ["make/execution/rows"]
    assert "told to fail" in failed["error"]
    extra["fail"] = False
    assert go(chain) == 0
    assert [run["started"] for run in entry()["runs"]] == [first["started"], failed["started"]]
    assert "jobs" not in entry()["runs"][0]
    assert go(chain) == 0
    assert len(entry()["runs"]) == 2, "the oldest one is left out"
    assert entry()["runs"][0]["started"] == failed["started"]


@pytest.mark.parametrize("text", ["", "half {", "[1]", '{"runs": 3, "status": "running", "jobs": 1}', '{"runs": [[]]}'])
def test_a_damaged_file_stops_no_run_and_no_report(chain, go, text):
    Path("out").mkdir()
    Path("out/sandbox.log").touch()  # the folder is one of a run: any other with such a file is refused
    Path("out/run.json").write_text(text)
    assert go(chain) == 0
    assert entry()["status"] == "done"
    (aside,) = Path("out").glob("previous_run.json_*")
    assert aside.read_text() == text, "it may be a file of the user's"
    odd = {"packages": 3, "command": {"a": 1}, "gpus": 3, "memory_bytes": 1e400, "runs": "x", "program": [], "seeds": 2}
    Path("out/run.json").write_text(json.dumps(odd))
    build(Path("out"))


def test_an_interrupted_and_a_killed_run(chain, config_file, support_path):
    chain["pipelines"]["make"]["execution_job_configs"][1]["extra_configs"].update(delay=0.1, rows=600)
    config_file(chain)
    environment = {**os.environ, "PYTHONPATH": support_path}
    for number, status, code in ((signal.SIGTERM, "interrupted", 130), (signal.SIGKILL, "running", None)):
        command = [sys.executable, "-m", "data_juicer_sandbox.cli.main", "sandbox.yaml"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        metrics = Path("out/metrics.jsonl")
        while not (metrics.is_file() and '"other"' in metrics.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(60)
        assert (entry()["status"], entry()["exit_code"]) == (status, code)
        metrics.unlink()
    chain["pipelines"]["make"]["execution_job_configs"][1]["extra_configs"].update(delay=0, rows=6)
    config_file(chain)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert [run["status"] for run in [*entry()["runs"], entry()]] == ["interrupted", "killed", "done"]


def test_the_versions_are_those_of_the_package_metadata():
    from importlib.metadata import PackageNotFoundError

    expected = {}
    for name in PACKAGES:
        try:
            expected[name] = version(name)
        except PackageNotFoundError:
            continue
    assert _versions() == expected


def git(folder, *arguments):
    settings = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    ended = subprocess.run(
        ["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return ended.stdout.strip()


def test_the_commit_is_read_from_a_clone_of_any_form(tmp_path):
    clone = tmp_path / "clone"
    clone.mkdir()
    assert _commit(clone) is None
    git(clone, "init")
    assert _commit(clone) is None, "no commit yet"
    git(clone, "commit", "--allow-empty", "-m", "x")
    commit = git(clone, "rev-parse", "HEAD")
    assert _commit(clone) == commit
    git(clone, "worktree", "add", "-b", "other", str(tmp_path / "tree"))
    assert _commit(tmp_path / "tree") == commit
    git(clone, "pack-refs", "--all")
    assert _commit(clone) == commit
    assert _commit(tmp_path / "tree") == commit
    git(clone, "checkout", "--detach")
    assert _commit(clone) == commit


def test_changed_files_of_the_clone_are_recorded(tmp_path, monkeypatch):
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "x")
    monkeypatch.setattr(run_file, "checkout", lambda: tmp_path)
    monkeypatch.setattr(run_file, "_GIT_SECONDS", 60)
    assert run_file._is_changed(run_file._start_git()) is False
    (tmp_path / "a").write_text("22")
    assert run_file._is_changed(run_file._start_git()) is True
    monkeypatch.setenv("PATH", "")
    assert run_file._is_changed(run_file._start_git()) is None


def test_the_report_shows_it(chain, go):
    go(chain)
    page = Path("out/report.html").read_text()
    assert "<summary>Run</summary>" in page
    assert f"numpy {version('numpy')}" in page
    assert os.uname().nodename in page
    assert "done, exit code 0" in page
