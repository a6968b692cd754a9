"""Whole runs on SLURM and on Ray: the results of a serial run; a killed run is continued; Ctrl-C cancels."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from scripted_tasks import wait_until
from slurm import SlurmCluster

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.engine.runner import JobFailed

NUMBERS = [3, 1, 2]
pytestmark = pytest.mark.slow


def config(**parallel: object) -> dict[str, object]:
    extra = {"type": "parallel_parts.Squares", "numbers": NUMBERS, "log": "log", "export_path": "out/squares.txt"}
    job = {"hook": "EvaluateDataHook", "meta_name": "squares", "extra_configs": extra, "output": ["table", "total"]}
    return {"work_dir": "out", "parallel": parallel, "evaluation_job_configs": [job]}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, support_path: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(support_path)


def computed() -> list[int]:
    """The items that were computed, in order of their numbers."""
    path = Path("log")
    return sorted(int(line.split()[0]) for line in path.read_text().splitlines()) if path.exists() else []


@contextmanager
def started_run(support_path: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process of its own, whose items wait until their files are removed."""
    for number in NUMBERS:
        Path(f"log.wait_{number}").touch()
    Path("sandbox.yaml").write_text(yaml.safe_dump(config(**SLURM)))
    command = [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "sandbox.yaml", *arguments]
    with Path("output").open("wb") as output:
        environment = {**os.environ, "PYTHONPATH": support_path}
        run = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield run
    finally:
        run.kill()
        run.wait()


SLURM = {"backend": "slurm", "resources": {"memory_gb": 0.6}}


@pytest.mark.parametrize("parallel", [SLURM, {"backend": "ray", "address": "local"}], ids=["slurm", "ray"])
def test_the_results_are_those_of_a_serial_run(parallel: dict[str, object], request: pytest.FixtureRequest):
    if parallel is SLURM:
        request.getfixturevalue("slurm")
    results = Sandbox(config(**parallel)).run()
    assert results["anonymous.squares.total"] == 14
    assert list(results["anonymous.squares.table"]["square"]) == [9, 1, 4]
    assert Path("out/squares.txt").read_text() == "9 1 4"
    assert computed() == [1, 2, 3]


def test_an_item_that_dies_on_slurm_fails_the_run_with_its_state(slurm: SlurmCluster):
    Path("log.kill_2").touch()
    with pytest.raises(JobFailed, match=r"2: its process ended as FAILED \(exit status 137\) on one, SLURM job \d+_"):
        Sandbox(config(**SLURM)).run()
    assert slurm.run("squeue", "--me", "--noheader") == ""
    Path("log.kill_2").unlink()
    assert Sandbox(config(**SLURM)).run(resume=True)["anonymous.squares.total"] == 14


def test_a_killed_run_on_slurm_is_continued(slurm: SlurmCluster, support_path: str):
    with started_run(support_path):
        wait_until(lambda: len(list(Path().glob("log.begun_*"))) >= 2)
    assert len(slurm.run("squeue", "--me", "--noheader", "--array").splitlines()) == len(NUMBERS)
    with started_run(support_path, "--resume", "true") as run:
        log = Path("out/sandbox.log")
        wait_until(lambda: log.exists() and "SLURM has 3 of the tasks since an earlier run" in log.read_text())
        for number in NUMBERS:
            Path(f"log.wait_{number}").unlink()
        assert run.wait(120) == 0, Path("output").read_text()
    assert computed() == [1, 2, 3]
    assert Path("out/squares.txt").read_text() == "9 1 4"


def test_ctrl_c_cancels_on_slurm(slurm: SlurmCluster, support_path: str):
    with started_run(support_path) as run:
        wait_until(lambda: list(Path().glob("log.begun_*")))
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130, Path("output").read_text()
    assert slurm.run("squeue", "--me", "--noheader") == ""


def test_no_cluster_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match="SLURM is not installed here: no `sbatch`"):
        Sandbox(config(backend="slurm")).run()
    assert not list(Path("out").rglob("tasks"))


@pytest.mark.parametrize("parallel", [SLURM, {"backend": "ray", "address": "local"}], ids=["slurm", "ray"])
def test_the_trials_of_a_search(parallel: dict[str, object], request: pytest.FixtureRequest):
    if parallel is SLURM:
        request.getfixturevalue("slurm")
    rate = "anonymous.learn.extra_configs.rate"
    grid = {"method": "grid", "metric": {"name": "learn.loss", "goal": "minimize"}, "plots": False}
    Path("sweep.yaml").write_text(yaml.safe_dump({**grid, "parameters": {rate: {"values": [0.1, 0.3, 0.2]}}}))
    extra = {"type": "toy_lab.steps.Descend", "rate": 0.1, "steps": 8}
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "learn", "extra_configs": extra, "output": "loss"}
    search = {"work_dir": "out", "hpo_config": "sweep.yaml", "execution_job_configs": [job]}
    found = {}
    for name, backend in (("cluster", {**parallel, "max_workers": 2}), ("serial", {"backend": "serial"})):
        trials = Sandbox({**search, "parallel": backend}, work_dir=name).run().trials
        found[name] = {row[rate]: (row["state"], row["learn.loss"]) for row in trials.to_dict("records")}
    assert found["cluster"] == found["serial"]
    assert len(found["serial"]) == 3
