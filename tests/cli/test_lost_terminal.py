"""A run whose terminal or pipe goes away goes on, and its exit code is that of its jobs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

TOY = "toy_lab.steps."
GONE = "the terminal is gone: "


def job(name: str, kind: str, **keys: Any) -> dict[str, Any]:
    return {
        "hook": "GeneralDataExecutorHook",
        "meta_name": name,
        "output": "result",
        "extra_configs": {"type": TOY + kind, **keys},
    }


JOBS = [job("first", "Speak"), job("second", "Speak"), job("third", "Speak")]


@pytest.fixture
def start(tmp_path: Path, support_path: str) -> Callable[..., subprocess.Popen[bytes]]:
    """Start `dj-sandbox` on a config in the test's folder."""

    def call(config: dict[str, Any], *arguments: str, command: str = "run", **options: Any) -> subprocess.Popen[bytes]:
        (tmp_path / "x.yaml").write_text(yaml.safe_dump({"work_dir": "out", **config}, sort_keys=False))
        return subprocess.Popen(
            [sys.executable, "-m", "data_juicer_sandbox.cli.main", command, "--config", "x.yaml", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": support_path, "TERM": "xterm", **options.pop("env", {})},
            stdin=subprocess.DEVNULL,
            **options,
        )

    return call


@contextmanager
def dead_pipe() -> Iterator[int]:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def finished(work_dir: Path) -> list[str]:
    (passed,) = json.loads((work_dir / "context_infos.json").read_text())["iterations"]
    records = [record for records in passed.values() for record in records]
    return [record["meta_name"] for record in records if record["__job__"]["status"] == "done"]


def losses(work_dir: Path) -> list[str]:
    return [line for line in (work_dir / "sandbox.log").read_text().splitlines() if GONE in line]


@pytest.mark.parametrize("debug", ["false", "true"])
def test_a_dead_pipe_changes_nothing(start, tmp_path, debug):
    with dead_pipe() as pipe:
        process = start({"execution_job_configs": JOBS}, "--debug", debug, stdout=pipe, stderr=pipe)
        assert process.wait(120) == 0
    assert finished(tmp_path / "out") == ["first", "second", "third"]
    (line,) = losses(tmp_path / "out")
    assert line.endswith(
        "the terminal is gone: standard output and standard error: Broken pipe; the run continues without it"
    )
    assert (tmp_path / "out/report.html").is_file()


def test_head_takes_one_line(start, tmp_path):
    process = start({"execution_job_configs": JOBS}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(120) == 0
    assert finished(tmp_path / "out") == ["first", "second", "third"]
    assert len(losses(tmp_path / "out")) == 1


def test_standard_output_alone_is_no_terminal(start, tmp_path):
    with dead_pipe() as pipe:
        process = start({"execution_job_configs": JOBS}, stdout=pipe, stderr=subprocess.PIPE)
        _, output = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"done in" in output
    assert losses(tmp_path / "out") == []
    assert "standard output is gone: standard output: Broken pipe" in (tmp_path / "out/sandbox.log").read_text()


def test_a_failing_job_still_exits_1(start, tmp_path):
    jobs = [JOBS[0], job("second", "SumRows", dataset_path="x.yaml", fail=True), JOBS[2]]
    with dead_pipe() as pipe:
        assert start({"execution_job_configs": jobs}, stdout=pipe, stderr=pipe).wait(120) == 1
    assert "told to fail" in (tmp_path / "out/sandbox.log").read_text()
    assert len(losses(tmp_path / "out")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_still_exits_130(start, tmp_path, number):
    slow = job("second", "Descend", rate=0.1, steps=1000, delay=0.05, log=str(tmp_path / "steps"))
    with dead_pipe() as pipe:
        process = start({"execution_job_configs": [JOBS[0], slow]}, stdout=pipe, stderr=pipe)
        until = time.monotonic() + 60
        while not (tmp_path / "steps").exists() and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(60) == 130
    assert finished(tmp_path / "out") == ["first"]
    slow["extra_configs"] |= {"steps": 1}
    process = start({"execution_job_configs": [JOBS[0], slow]}, "--resume", "true", stderr=subprocess.PIPE)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"first kept" in output


def test_both_streams_closed(start, tmp_path, support_path):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({"work_dir": "out", "execution_job_configs": JOBS}))
    command = f"{sys.executable} -m data_juicer_sandbox.cli.main --config x.yaml <&- >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": support_path}
    assert (
        subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, timeout=120, check=False).returncode == 0
    )
    assert finished(tmp_path / "out") == ["first", "second", "third"]
    (line,) = losses(tmp_path / "out")
    assert "standard output and standard error: it is closed" in line
    for name in ("context_infos.json", "metrics.jsonl", "sandbox.log"):  # which could have got a descriptor's number
        assert "a line of standard" not in (tmp_path / "out" / name).read_text()


def test_a_full_disk_behind_a_redirection(start, tmp_path):
    with Path("/dev/full").open("wb") as full:
        assert start({"execution_job_configs": JOBS}, stdout=full, stderr=full).wait(120) == 0
    assert finished(tmp_path / "out") == ["first", "second", "third"]
    (line,) = losses(tmp_path / "out")
    assert "No space left on device" in line


def test_a_stream_that_is_only_read(start, tmp_path):
    with Path(os.devnull).open("rb") as stream:
        assert start({"execution_job_configs": JOBS}, stdout=stream, stderr=stream).wait(120) == 0
    (line,) = losses(tmp_path / "out")
    assert "Bad file descriptor" in line


@pytest.fixture
def closed_terminal(tmp_path: Path, support_path: str) -> Callable[..., int]:
    """Run jobs on a terminal that is closed as soon as the file `steps` is there; returns the exit code."""

    def call(jobs: list[dict[str, Any]], *, ignore_hang_up: bool) -> int:
        (tmp_path / "x.yaml").write_text(yaml.safe_dump({"work_dir": "out", "execution_job_configs": jobs}))
        environment = {**os.environ, "PYTHONPATH": support_path, "TERM": "xterm"}
        arguments = [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "x.yaml"]
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(tmp_path)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignore_hang_up else signal.SIG_DFL)
            os.execvpe(arguments[0], arguments, environment)
        while not (tmp_path / "steps").exists():
            os.read(terminal, 1 << 16)
        os.close(terminal)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    return call


def test_a_closed_terminal_with_the_hang_up_ignored(closed_terminal, tmp_path):
    waiting = job("second", "Descend", rate=0.1, steps=20, delay=0.05, log=str(tmp_path / "steps"))
    assert closed_terminal([JOBS[0], waiting, JOBS[2]], ignore_hang_up=True) == 0
    assert finished(tmp_path / "out") == ["first", "second", "third"]
    (line,) = losses(tmp_path / "out")
    assert "Input/output error" in line


def test_a_closed_terminal_interrupts_the_run(closed_terminal, tmp_path):
    """The kernel sends SIGHUP more than once; the run ends as it does by Ctrl-C."""
    slow = job("second", "Descend", rate=0.1, steps=1000, delay=0.05, log=str(tmp_path / "steps"))
    assert closed_terminal([JOBS[0], slow], ignore_hang_up=False) == 130
    assert finished(tmp_path / "out") == ["first"]
    assert "interrupted in job" in (tmp_path / "out/sandbox.log").read_text()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_goes_on(start, tmp_path, n_jobs):
    pytest.importorskip("optuna", reason="pip install -e '.[search]'")
    sweep = {
        "sweep_max_count": 4,
        "n_jobs": n_jobs,
        "plots": False,
        "method": "random",
        "metric": {"name": "anonymous.second.result", "goal": "minimize"},
        "parameters": {"anonymous.second.extra_configs.factor": {"min": 0.0, "max": 1.0}},
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    with dead_pipe() as pipe:
        config = {"hpo_config": "sweep.yaml", "execution_job_configs": JOBS[:2]}
        assert start(config, stdout=pipe, stderr=pipe).wait(120) == 0
    table = (tmp_path / "out/trials.csv").read_text()
    assert table.lower().count("complete") == 4
    assert len(losses(tmp_path / "out")) == 1


@pytest.mark.parametrize("command", ["run", "validate", "plan"])
def test_a_bad_config_exits_2_into_a_dead_pipe(start, command):
    with dead_pipe() as pipe:
        assert (
            start({"execution_job_configs": [{"hook": "NoHook"}]}, command=command, stdout=pipe, stderr=pipe).wait(60)
            == 2
        )


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["--version"], ["cp"]])
def test_other_commands_exit_0_quietly(arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "data_juicer_sandbox.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["--help"],
        ["--version"],
        ["cp"],
        ["plan", "--config", "x.yaml"],
        ["--config", "x.yaml", "--print_config"],
    ],
)
def test_output_that_cannot_be_written_is_an_error(arguments, tmp_path, support_path):
    """What these commands print is their result; a full disk behind a redirection must not look like an empty one."""
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({"execution_job_configs": JOBS[:1]}))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "data_juicer_sandbox.cli.main", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": support_path},
            timeout=60,
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "the output could not be written: No space left on device" in done.stderr
