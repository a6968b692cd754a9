"""Trials as tasks of a backend. Here its processes run on this machine; tests of SLURM and Ray use clusters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_juicer_sandbox.parallel.local import LocalBackend
from data_juicer_sandbox.parallel.tasks import RESULT, write_plain
from data_juicer_sandbox.search import cluster_trials
from data_juicer_sandbox.search.controller import TrialSpec
from data_juicer_sandbox.search.trial_worker import TrialTask, read_result

pytest.importorskip("optuna", reason="pip install -e '.[search]'")

RATE = "use.learn.extra_configs.rate"


@pytest.fixture(autouse=True)
def backend(monkeypatch, support_path):
    """A backend of this machine in place of the cluster's; its tasks are what a cluster would run."""
    monkeypatch.setenv("PYTHONPATH", support_path)
    monkeypatch.setattr(cluster_trials, "open_backend", LocalBackend)


def on_cluster(monkeypatch, lab):
    """The config with the backend `ray`, whose jobs that all trials share run one by one."""
    from data_juicer_sandbox.engine.runner import PipelineRunner
    from data_juicer_sandbox.search import search

    monkeypatch.setattr(search, "runner_class", lambda parallel: PipelineRunner)
    return {**lab, "parallel": {"backend": "ray", "max_workers": 2}}


def test_the_trials_are_those_of_one_process(lab, sweep, go, table, monkeypatch):
    assert go(on_cluster(monkeypatch, lab), {**sweep, "sweep_max_count": 3}) == 0
    there = {row["number"]: (row["state"], row[RATE], row["use.learn.loss"]) for row in table()}
    assert go(lab, {**sweep, "sweep_max_count": 3}, "--work_dir", "alone") == 0
    assert {row["number"]: (row["state"], row[RATE], row["use.learn.loss"]) for row in table("alone")} == there
    assert not list(Path("out/trials").glob("*/jobs/.trial"))


def test_a_trial_whose_process_dies_has_failed_and_the_search_goes_on(lab, sweep, go, table, monkeypatch):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["die_above"] = 0.5
    sweep |= {"method": "grid", "sweep_max_count": 3, "parameters": {RATE: {"values": [0.1, 0.9, 0.2]}}}
    assert go(on_cluster(monkeypatch, lab), sweep) == 0
    assert {row[RATE]: row["state"] for row in table()} == {"0.1": "complete", "0.9": "failed", "0.2": "complete"}
    assert "was ended by the signal SIGKILL" in Path("out/sandbox.log").read_text()


def test_hopeless_trials_are_pruned_while_they_run(lab, sweep, go, table, monkeypatch):
    learn = lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]
    learn |= {"steps": 27, "delay": 0.1}
    rates = [0.01, 0.02, 0.03, 0.2, 0.48]
    sweep |= {"method": "grid", "sweep_max_count": 5, "parameters": {RATE: {"values": rates}}}
    sweep |= {"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3}}
    assert go(on_cluster(monkeypatch, lab), sweep) == 0
    pruned = [row for row in table() if row["state"] == "pruned"]
    assert pruned
    assert "0.48" not in {row[RATE] for row in pruned}
    for row in pruned:
        metrics = Path(f"out/trials/trial_{row['number']}/metrics.jsonl").read_text().splitlines()
        assert max(json.loads(line).get("step", 0) for line in metrics) < 26


def test_outputs_of_a_trial_stay_whatever_their_folder_is_called(lab, sweep, go, monkeypatch):
    scale = lab["pipelines"]["use"]["execution_job_configs"][0]["extra_configs"]
    scale["export_path"] = "out/task/scaled.jsonl"
    sweep["parameters"]["use.scale.extra_configs.factor"] = {"values": [2.0]}
    assert go(on_cluster(monkeypatch, lab), {**sweep, "sweep_max_count": 1}) == 0
    assert Path("out/trials/trial_0/task/scaled.jsonl").is_file()
    assert not Path("out/trials/trial_0/jobs/.trial").exists()


def test_the_result_of_another_trial_is_not_taken(tmp_path):
    """A process that an earlier run started may still write its result where a new trial is to run."""
    task = TrialTask(TrialSpec(0, {"x": 1}), "s.yaml", {}, [], False, False, "/", ())
    assert task.write(tmp_path)
    _, key = TrialTask.read(tmp_path)
    write_plain(tmp_path / RESULT, {"key": key, "result": {"state": "complete", "values": (0.5,)}})
    assert read_result(tmp_path).values == (0.5,)
    assert not task.write(tmp_path)
    assert replace(task, spec=TrialSpec(0, {"x": 2})).write(tmp_path)
    write_plain(tmp_path / RESULT, {"key": key, "result": {"state": "complete", "values": (0.5,)}})
    assert read_result(tmp_path) is None


def test_a_loss_that_is_no_number_is_reported_as_such(lab, sweep, go, table, monkeypatch):
    learn = lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]
    learn |= {"steps": 3000, "rate": 5.0}
    sweep |= {"method": "grid", "sweep_max_count": 1, "parameters": {RATE: {"values": [5.0]}}}
    sweep |= {"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3}}
    go(on_cluster(monkeypatch, lab), sweep)
    states = [row["state"] for row in table()]
    assert states
    go(lab, sweep, "--work_dir", "alone")
    assert states == [row["state"] for row in table("alone")]
