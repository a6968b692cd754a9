"""Which trials a search runs: none twice, failed ones again when it is resumed, kept ones scored by another metric."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="pip install 'data-juicer-sandbox[search]'")

RATE = "use.learn.extra_configs.rate"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_metric_that_the_first_trial_lacks_ends_the_search_and_its_jobs_are_kept(
    lab, sweep, go, table, capsys, started, n_jobs
):
    sweep |= {"metric": {"name": "learn.accuracy"}, "n_jobs": n_jobs}
    assert go(lab, sweep) == 1
    said = capsys.readouterr().err
    assert (
        "the metric 'learn.accuracy' is missing (available: learn.gain, learn.loss, use.learn.loss, use.scale.n" in said
    )
    assert "correct `metric` in the sweep file and resume: the finished jobs are kept" in said
    assert len(table()) == started()["learn"] <= n_jobs
    before = started()["learn"]
    sweep["metric"] = {"name": "learn.loss", "goal": "minimize"}
    assert go(lab, sweep, "--resume", "true") == 0
    assert started() == {"rows": 1, "scale": 1, "sum": 1, "learn": 6}
    assert [row["state"] for row in table()] == ["complete"] * 6
    assert before < 6


def test_another_metric_scores_the_trials_again_without_training(lab, sweep, go, table, started):
    sweep |= {"sweep_max_count": 4}
    assert go(lab, sweep) == 0
    first = {row[RATE]: float(row["use.learn.loss"]) for row in table()}
    for metric in (
        {"name": "learn.gain", "goal": "maximize"},
        [{"name": "learn.gain"}, {"name": "use.sum.sums.scaled"}],
    ):
        assert go(lab, {**sweep, "metric": metric}, "--resume", "true") == 0
        assert {row[RATE]: -float(row["learn.gain"]) for row in table()} == pytest.approx(first)
        assert [row["state"] for row in table()] == ["complete"] * 4
        assert started()["learn"] == 4
    assert go(lab, {**sweep, "sweep_max_count": 5}, "--resume", "true") == 0
    assert {row[RATE]: float(row["use.learn.loss"]) for row in table()}.items() >= first.items()
    assert len(table()) == started()["learn"] == 5


def test_pruned_and_failed_trials_stay_so_with_another_metric(lab, sweep, go, table):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["fail_above"] = 0.8
    sweep |= {"sweep_max_count": 12, "early_terminate": {"type": "hyperband", "min_iter": 2}, "max_failures": 12}
    assert go(lab, sweep) == 0
    states = [row["state"] for row in table()]
    assert {"complete", "pruned", "failed"} == set(states)
    assert go(lab, {**sweep, "metric": {"name": "learn.gain", "goal": "maximize"}}, "--resume", "true") == 0
    assert [row["state"] for row in table()][: len(states)].count("pruned") == states.count("pruned")
    assert [row["state"] for row in table()].count("complete") == states.count("complete")


def test_the_order_of_keys_and_equal_spellings_do_not_make_another_study(lab, sweep, go, capsys):
    assert go(lab, sweep) == 0
    use = lab["pipelines"]["use"]["execution_job_configs"]
    use[:] = [dict(reversed(job.items())) for job in use]
    use[1]["extra_configs"] = {"steps": 8.0, "type": "toy_lab.steps.Descend", "rate": 0.1}
    use[1]["output"] = ["loss"]
    lab["pipelines"] = [{name: jobs} for name, jobs in lab["pipelines"].items()]
    sweep["parameters"] = {RATE: {"distribution": "uniform", "max": 0.9, "min": 0.01}}
    lab["work_dir"] = "./out"
    assert go(lab, dict(reversed(sweep.items())), "--resume", "true") == 0
    use[1]["extra_configs"]["steps"] = 9
    capsys.readouterr()
    assert go(lab, sweep, "--resume", "true") == 2
    assert "use.learn.execution.extra_configs.steps: 8 -> 9" in capsys.readouterr().err


def test_no_trial_repeats_another(lab, sweep, go, table, started):
    sweep |= {"sweep_max_count": 8, "parameters": {RATE: {"values": [0.1, 0.2]}}}
    for method in ("random", "bayes", "grid"):
        assert go(lab, {**sweep, "method": method}, "--work_dir", method) == 0
        assert {row[RATE] for row in table(method)} == {"0.1", "0.2"}
        assert len(table(method)) == started(method)["learn"] == 2


def test_a_value_that_always_fails_is_tried_once(lab, sweep, go, table, started):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["fail_above"] = 0.5
    sweep |= {"sweep_max_count": 15, "parameters": {RATE: {"values": [0.1, 0.2, 0.3, 0.7]}}}
    assert go(lab, sweep) == 0
    assert sorted(row["state"] for row in table()) == ["complete"] * 3 + ["failed"]
    assert started()["learn"] == 4


def test_values_that_python_takes_for_equal_are_different_trials(lab, sweep, go, table):
    give = {"hook": "GeneralDataExecutorHook", "meta_name": "give", "extra_configs": {"type": "toy_lab.steps.Give"}}
    lab["pipelines"]["use"]["execution_job_configs"].append(give)
    values = [1, True, 1.0, "1", [1, 2], "[1, 2]", [True, 2], None]
    sweep |= {
        "method": "grid",
        "sweep_max_count": 20,
        "parameters": {"use.give.extra_configs.value": {"values": values}},
    }
    assert go(lab, sweep) == 0
    drawn = [
        json.loads(Path(f"out/trials/trial_{row['number']}/config.json").read_text())["parameters"] for row in table()
    ]
    texts = sorted(json.dumps(entry["use.give.extra_configs.value"]) for entry in drawn)
    assert texts == sorted(map(json.dumps, values))


def test_failed_trials_of_a_grid_are_done_again_at_the_end_of_a_resumed_search(
    lab, sweep, go, table, started, capsys, config_file
):
    once = {
        "hook": "EvaluateDataHook",
        "meta_name": "check",
        "input": {"extra_configs.after": "learn.loss"},
        "extra_configs": {"type": "toy_lab.steps.NeedsFile", "path": "there"},
    }
    lab["pipelines"]["use"]["evaluation_job_configs"].append(once)
    sweep |= {"method": "grid", "max_failures": 2, "parameters": {RATE: {"values": [0.1, 0.2, 0.3]}}}
    assert go(lab, sweep) == 1
    assert "2 trials failed (max_failures 2)" in capsys.readouterr().err
    config_file("", "there")
    assert go(lab, sweep, "--resume", "true") == 0
    assert [row["state"] for row in table()] == ["complete"] * 3
    assert {row[RATE] for row in table()} == {"0.1", "0.2", "0.3"}
    assert started()["learn"] == 3, "the training of a trial that failed later is kept"
    assert started()["check"] == 5
    assert go(lab, sweep, "--resume", "true") == 0
    assert started()["check"] == 5


def test_the_page_of_a_search_shows_its_trials_and_the_best_one(lab, sweep, go, table, capsys):
    assert go(lab, sweep) == 0
    said = capsys.readouterr().err
    for line in said.splitlines():
        if line.strip().startswith(("results:", "metrics:", "trials:", "report:")):
            assert Path(line.split()[1]).is_file(), line
    page = Path("out/report.html").read_text()
    best = min(table(), key=lambda row: float(row["use.learn.loss"]))["number"]
    assert "9 jobs done" in page  # three shared ones, one in each of six trials
    assert f"best: trial {best}" in page
    assert f">{best} best<" in page
    assert "6 complete" in page
    assert "<h3>search.trial</h3>" not in page


def test_a_search_that_shares_no_job_counts_those_of_its_trials(lab, sweep, go):
    del lab["pipelines"]["make"]
    lab["pipelines"]["use"]["execution_job_configs"].pop(0)
    del lab["pipelines"]["use"]["evaluation_job_configs"]
    assert go(lab, sweep) == 0
    assert "6 jobs done" in Path("out/report.html").read_text()
