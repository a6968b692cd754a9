"""Searches in one process: what is shared, what comes out, when they end, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.config.dump import dump_config
from data_juicer_sandbox.config.loader import load_or_raise
from data_juicer_sandbox.validation import validate
from data_juicer_sandbox.workflow.resolve import resolve

pytest.importorskip("optuna", reason="pip install -e '.[search]'")

RATE = "use.learn.extra_configs.rate"
FACTOR = "use.scale.extra_configs.factor"


def loss(rate, steps=8):
    """What the descent comes to: the distance shrinks by 1 - 2 rate at each step."""
    return (3 * (1 - 2 * rate) ** steps) ** 2


def test_the_best_trial_is_the_best_and_only_what_a_parameter_reaches_runs_again(lab, sweep, go, table, started):
    assert go(lab, sweep) == 0
    rows = table()
    assert [row["number"] for row in rows] == list("012345")
    assert {row["state"] for row in rows} == {"complete"}
    for row in rows:
        assert float(row["use.learn.loss"]) == pytest.approx(loss(float(row[RATE])))
    assert len({row[RATE] for row in rows}) == 6
    assert started() == {"rows": 1, "scale": 1, "sum": 1, "learn": 6}
    best = min(rows, key=lambda row: float(row["use.learn.loss"]))
    config = yaml.safe_load(Path("out/best.yaml").read_text())
    assert config["parameters"] == {RATE: float(best[RATE])}


def test_best_yaml_gives_the_same_result(lab, sweep, go, table, outputs, config_file):
    from data_juicer_sandbox.cli.main import main

    sweep["parameters"] = {FACTOR: {"min": 0.5, "max": 4.0}, RATE: {"min": 0.01, "max": 0.9}}
    sweep["metric"] = {"name": "sum.scaled", "goal": "maximize"}  # a watched name
    lab |= {"patience": 50, "max_hours": 1, "parameters": None}  # bounds of the search, not of the best trial's run
    assert go(lab, sweep) == 0
    best = max(table(), key=lambda row: float(row["sum.scaled"]))
    assert main(["--config", "out/best.yaml"]) == 0
    again, before = outputs("out/best"), outputs(f"out/trials/trial_{best['number']}")
    assert again["sum"] == before["sum"]
    assert again["learn"] == before["learn"]
    assert Path(again["scale"]["path"]).read_bytes() == Path(before["scale"]["path"]).read_bytes()


def test_paths_of_a_trial_lie_in_its_folder_and_the_shared_ones_where_the_config_says(lab, sweep, go, outputs):
    sweep["parameters"] = {FACTOR: {"values": [1.0, 2.0, 3.0]}}
    sweep["method"] = "grid"
    sweep["metric"] = {"name": "use.sum.sums.scaled"}
    assert go(lab, sweep) == 0
    sums = {}
    for number in range(3):
        found = outputs(f"out/trials/trial_{number}")
        assert found["rows"]["path"] == "out/data/rows.jsonl"
        assert found["scale"]["path"] == f"out/trials/trial_{number}/data/scaled.jsonl"
        assert Path(f"out/trials/trial_{number}/data/scaled.jsonl").is_file()
        sums[number] = found["sum"]["sums"]["scaled"]
    assert not Path("out/data/scaled.jsonl").exists()
    assert sorted(sums.values()) == pytest.approx([min(sums.values()) * n for n in (1, 2, 3)])


def test_the_same_seed_gives_the_same_suggestions_however_often_it_is_interrupted(lab, sweep, go, table):
    for method in ("random", "bayes", "grid"):
        sweep |= {"method": method, "sweep_max_count": 14, "sweep_name": method}
        sweep["parameters"] = {
            RATE: {"distribution": "q_uniform", "min": 0.05, "max": 0.9, "q": 0.05},
            "use.learn.extra_configs.steps": {"min": 2, "max": 6},
        }
        assert go(lab, sweep, "--work_dir", f"{method}_once") == 0
        for count in (1, 2, 7, 12, 14):
            sweep["sweep_max_count"] = count
            assert go(lab, sweep, "--work_dir", f"{method}_often", "--resume", "true") == 0
        once, often = table(f"{method}_once"), table(f"{method}_often")
        for row in (*once, *often):
            del row["seconds"]
        assert once == often
        assert len({tuple(row.items()) for row in once}) == 14


def test_another_seed_gives_others(lab, sweep, go, table):
    assert go(lab, sweep) == 0
    first = [row[RATE] for row in table()]
    assert go(lab, {**sweep, "seed": 7}) == 0
    assert not set(first) & {row[RATE] for row in table()}


def test_a_grid_is_gone_through_once(lab, sweep, go, table):
    sweep |= {"method": "grid", "sweep_max_count": 100}
    sweep["parameters"] = {
        RATE: {"values": [0.1, 0.2, 0.3]},
        FACTOR: {"value": 2.5},
        "use.learn.extra_configs.steps": {"distribution": "q_uniform", "min": 2, "max": 6, "q": 2},
        "make.rows.extra_configs.seed": {"values": [1, 2], "probabilities": [0.25, 0.75]},
    }
    assert go(lab, sweep) == 0
    found = {(row[RATE], row["use.learn.extra_configs.steps"], row["make.rows.extra_configs.seed"]) for row in table()}
    assert len(table()) == len(found) == 3 * 3 * 2
    assert {row[FACTOR] for row in table()} == {"2.5"}


def test_a_finished_search_resumed_does_nothing_and_a_larger_one_goes_on(lab, sweep, go, table, started, capsys):
    assert go(lab, sweep) == 0
    before = table()
    capsys.readouterr()
    assert go(lab, sweep, "--resume", "true") == 0
    said = capsys.readouterr().err
    assert " started" not in said
    assert "all 6 trials are done" in said
    assert table() == before
    sweep["sweep_max_count"] = 8
    assert go(lab, sweep, "--resume", "true") == 0
    assert table()[:6] == before
    assert len(table()) == 8
    assert started()["rows"] == 1


def test_resume_false_moves_an_earlier_search_aside(lab, sweep, go, table):
    assert go(lab, sweep) == 0
    before = table()
    assert go(lab, {**sweep, "sweep_max_count": 2}) == 0
    assert [row[RATE] for row in table()] == [row[RATE] for row in before[:2]]
    aside = next(Path("out").glob("previous_*"))
    assert table(aside) == before
    assert (aside / "trials/trial_5").is_dir()
    assert not Path("out/trials/trial_5").exists()


def test_a_study_of_other_jobs_or_parameters_is_not_mixed_up(lab, sweep, go, capsys):
    assert go(lab, sweep) == 0
    sweep["parameters"][RATE]["max"] = 0.8
    capsys.readouterr()
    assert go(lab, sweep, "--resume", "true") == 2
    said = capsys.readouterr().err
    assert "sweep.yaml:1: the study 'toy' was made with other parameters or jobs" in said
    assert "parameters.use.learn.extra_configs.rate: Range(low=0.01, high=0.9" in said
    assert "-> Range(low=0.01, high=0.8" in said


def test_a_changed_recipe_file_makes_another_study_and_changed_data_is_told(lab, sweep, go, capsys, config_file):
    config_file("", "empty")  # into the test's folder
    Path("extra.yaml").write_text("type: toy_lab.steps.Descend\nrate: 0.1\nsteps: 8\n")
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"] = "extra.yaml"
    Path("data.jsonl").write_text('{"x": 1}\n')
    del lab["pipelines"]["use"]["evaluation_job_configs"][0]["input"]
    lab["pipelines"]["use"]["evaluation_job_configs"][0]["extra_configs"]["dataset_path"] = "data.jsonl"
    assert go(lab, sweep) == 0
    Path("data.jsonl").write_text('{"x": 2}\n')
    Path("out/data/rows.jsonl").unlink()  # made again just as it was: nothing to tell
    capsys.readouterr()
    assert go(lab, {**sweep, "sweep_max_count": 7}, "--resume", "true") == 0
    assert "WARNING: the outputs of use.sum differ from those that earlier trials used" in capsys.readouterr().err
    Path("extra.yaml").write_text("type: toy_lab.steps.Descend\nrate: 0.1\nsteps: 9\n")
    assert go(lab, sweep, "--resume", "true") == 2
    assert "use.learn.execution.extra_configs.steps: 8 -> 9" in capsys.readouterr().err


def test_configs_of_trials_that_somebody_edited_are_kept(lab, sweep, go):
    sweep |= {"metric": [{"name": "use.learn.loss"}, {"name": "sum.scaled"}], "sweep_max_count": 2}
    assert go(lab, sweep) == 0
    front = next(Path("out/front").glob("*.yaml"))
    for path in (Path("out/best.yaml"), front):
        path.write_text(path.read_text() + "# my notes\n")
    for count in (3, 4):
        assert go(lab, {**sweep, "sweep_max_count": count}, "--resume", "true") == 0
    (best,) = Path("out").glob("previous_best.yaml_*")
    (folder,) = Path("out").glob("previous_front_*")
    assert best.read_text().endswith("# my notes\n")
    assert (folder / front.name).read_text().endswith("# my notes\n")
    assert "my notes" not in Path("out/best.yaml").read_text()


def only_trial_jobs(lab):
    """Leave the job that the parameter reaches, so that the trials share none, and give it a file to read."""
    (learn,) = lab["pipelines"]["use"]["execution_job_configs"][1:]
    scale = {"type": "toy_lab.steps.ScaleRows", "dataset_path": "data.jsonl", "export_path": "out/data/scaled.jsonl"}
    lab["pipelines"] = {"use": {"execution_job_configs": [{**learn, "extra_configs": scale, "output": ["path", "n"]}]}}


def test_a_search_without_shared_jobs_is_resumed_and_changed_data_is_told(lab, sweep, go, table, capsys, config_file):
    config_file("", "empty")  # into the test's folder
    Path("data.jsonl").write_text('{"x": 1}\n')
    only_trial_jobs(lab)
    sweep |= {"sweep_max_count": 2, "metric": {"name": "use.learn.n"}}
    sweep["parameters"] = {"use.learn.extra_configs.factor": {"min": 1.0, "max": 2.0}}
    assert go(lab, sweep) == 0
    before = table()
    assert go(lab, sweep, "--resume", "true") == 0
    assert table() == before
    assert not list(Path("out").glob("previous_*"))
    assert "out of date" not in capsys.readouterr().err
    Path("out/trials/trial_0/data/scaled.jsonl").unlink()  # its result stands
    Path("data.jsonl").write_text('{"x": 2}\n')
    assert go(lab, {**sweep, "sweep_max_count": 3}, "--resume", "true") == 0
    assert table()[:2] == before
    assert "trials 0, 1 are out of date: input file data.jsonl has changed" in capsys.readouterr().err


def test_records_of_a_run_without_a_search_are_not_taken_for_shared_ones(lab, sweep, go, config_file, table, started):
    from data_juicer_sandbox.cli.main import main

    alone = {key: value for key, value in lab.items() if key != "hpo_config"}
    assert main(["--config", str(config_file(alone, "alone.yaml"))]) == 0
    assert go(lab, sweep, "--resume", "true") == 0
    assert started() == {"rows": 1, "scale": 1, "sum": 1, "learn": 1 + 6}
    for row in table():
        assert float(row["use.learn.loss"]) == pytest.approx(loss(float(row[RATE])))


def test_a_whole_config_may_be_searched_file_by_file(lab, sweep, go, table, config_file):
    for steps in (2, 5):
        config_file({"type": "toy_lab.steps.Descend", "rate": 0.1, "steps": steps}, f"{steps}.yaml")
    sweep |= {"method": "grid", "parameters": {"use.learn.extra_configs": {"values": ["2.yaml", "5.yaml"]}}}
    assert go(lab, sweep) == 0
    found = {row["use.learn.extra_configs"]: float(row["use.learn.loss"]) for row in table()}
    assert found == {"2.yaml": pytest.approx(loss(0.1, 2)), "5.yaml": pytest.approx(loss(0.1, 5))}


def test_hopeless_trials_are_pruned_and_stop_their_job(lab, sweep, go, table):
    learn = lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]
    learn |= {"steps": 27, "log": str(Path("steps.log").absolute())}
    sweep |= {
        "sweep_max_count": 12,
        "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3, "metric": "learn.loss"},
    }
    assert go(lab, sweep) == 0
    rows = table()
    pruned = [row for row in rows if row["state"] == "pruned"]
    complete = [row for row in rows if row["state"] == "complete"]
    assert len(pruned) + len(complete) == 12
    assert len(pruned) >= 3
    made = {}
    for line in Path(learn["log"]).read_text().splitlines():
        rate, step = line.split()
        made[rate] = int(step)
    assert all(made[row[RATE]] == 27 for row in complete)
    assert all(made[row[RATE]] in (2, 8) for row in pruned)  # told of step 3 or 9, it made no more
    best = min(rows, key=lambda row: loss(float(row[RATE]), 27))
    assert best["state"] == "complete"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("pattern", ["learn.{}", "learn.*"])
@pytest.mark.parametrize(("metric", "goal"), [("gain", "maximize"), ("loss", "minimize")])
def test_the_best_trial_is_never_pruned(lab, sweep, go, table, metric, goal, pattern, workers):
    """Rates near 0.5 descend at once; a pruner with the wrong direction, or one that judges by another value that the
    pattern fits, would end just these.
    """
    learn = lab["pipelines"]["use"]["execution_job_configs"][1]
    learn["extra_configs"] |= {"type": "toy_lab.steps.Descend", "steps": 9}
    rates = [0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.48]
    sweep |= {
        "method": "grid",
        "sweep_max_count": 10,
        "n_jobs": workers,
        "metric": {"name": f"learn.{metric}", "goal": goal},
        "parameters": {RATE: {"values": rates}},
        "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3, "metric": pattern.format(metric)},
    }
    assert go(lab, sweep) == 0
    states = {float(row[RATE]): row["state"] for row in table()}
    assert set(states) == set(rates)
    assert states[0.48] == "complete"
    assert "pruned" in states.values()


def test_a_metric_that_no_job_reports_is_told_and_prunes_nothing(lab, sweep, go, table, capsys):
    sweep["early_terminate"] = {"type": "hyperband", "min_iter": 3, "metric": "learn.accuracy", "goal": "maximize"}
    assert go(lab, sweep) == 0
    assert {row["state"] for row in table()} == {"complete"}
    said = capsys.readouterr().err
    told = "no job reported 'learn.accuracy' with a step (reported with steps: learn.loss, learn.gain)"
    assert said.count(told) == 2  # a warning after the first trial, and a line at the end
    assert said.index(told) < said.index("trial 1 complete")


def test_a_trial_that_is_continued_after_its_training_is_not_said_to_report_nothing(lab, sweep, go, table, capsys):
    once = {
        "hook": "EvaluateDataHook",
        "meta_name": "once",
        "input": {"extra_configs.after": "learn.loss"},
        "extra_configs": {"type": "toy_lab.steps.InterruptOnce", "marker": "begun"},
    }
    lab["pipelines"]["use"]["evaluation_job_configs"].append(once)
    sweep |= {"sweep_max_count": 1, "early_terminate": {"type": "hyperband", "min_iter": 3}}
    assert go(lab, sweep) == 130
    assert go(lab, sweep, "--resume") == 0
    assert [row["state"] for row in table()] == ["complete"]
    assert "no trial can be pruned" not in capsys.readouterr().err


def test_the_name_of_the_metric_with_its_pipeline_is_heard(lab, sweep, go, table, capsys):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["steps"] = 27
    sweep |= {"sweep_max_count": 8, "early_terminate": {"type": "hyperband", "min_iter": 3}}
    assert go(lab, sweep) == 0  # the metric is use.learn.loss
    assert "pruned" in {row["state"] for row in table()}
    assert "no trial can be ended early" not in capsys.readouterr().err


def test_the_pruner_may_judge_by_a_value_that_is_to_grow(lab, sweep, go, table):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["steps"] = 27
    sweep |= {
        "sweep_max_count": 8,
        "pruner": {"name": "SuccessiveHalvingPruner", "min_resource": 3, "metric": "learn.ga*", "goal": "maximize"},
    }
    assert go(lab, sweep) == 0
    by_gain = [(row["state"], row[RATE]) for row in table()]
    sweep["pruner"] |= {"metric": "learn.loss", "goal": "minimize"}
    assert go(lab, sweep) == 0
    assert [(row["state"], row[RATE]) for row in table()] == by_gain
    assert "pruned" in {state for state, _ in by_gain}


def test_a_bound_of_a_pruner_that_judges_by_a_value_with_another_goal(lab, sweep, go, table):
    sweep |= {"method": "grid", "parameters": {RATE: {"values": [0.05, 0.1, 0.4]}}}
    # after the first step the gain is -7.29, -5.76, -0.36, and it grows
    for bounds, kept in (({"lower": -6.0}, {0.1, 0.4}), ({"upper": 0.0, "lower": -10.0}, {0.05, 0.1, 0.4})):
        sweep["pruner"] = {"name": "ThresholdPruner", **bounds, "metric": "learn.gain", "goal": "maximize"}
        assert go(lab, sweep) == 0
        assert {float(row[RATE]) for row in table() if row["state"] == "complete"} == kept


def test_the_pruner_hears_one_job_of_several_pipelines_with_its_name(lab, sweep, go, table):
    learn = lab["pipelines"]["use"]["execution_job_configs"].pop()
    lab["pipelines"]["a"] = {"execution_job_configs": [{**learn, "extra_configs": {**learn["extra_configs"]}}]}
    lab["pipelines"]["b"] = {"execution_job_configs": [learn]}
    learn["extra_configs"]["steps"] = 20
    sweep |= {"method": "grid", "metric": {"name": "a.learn.loss"}}
    sweep["early_terminate"] = {"type": "hyperband", "min_iter": 10, "eta": 2, "metric": "a.learn.loss"}
    sweep["parameters"] = {f"{name}.learn.extra_configs.rate": {"values": [0.1, 0.2, 0.4]} for name in "ab"}
    assert go(lab, sweep) == 0
    assert {row["state"] for row in table()} == {"complete"}  # `a.learn` ends before step 10


@pytest.mark.parametrize("on_error", ["stop", "continue"])  # a trial ends with its first failed job
def test_failed_trials_are_recorded_and_passed_over(on_error, lab, sweep, go, table, capsys):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["fail_above"] = 0.5
    lab["on_error"] = on_error
    sweep |= {"sweep_max_count": 8, "max_failures": 8}
    assert go(lab, sweep) == 0
    for row in table():
        assert (row["state"] == "failed") == (float(row[RATE]) > 0.5)
        assert ("is too high" in row["error"]) == (row["state"] == "failed")
    assert {row["state"] for row in table()} == {"failed", "complete"}
    capsys.readouterr()
    assert go(lab, {**sweep, "max_failures": 2}) == 1
    said = capsys.readouterr().err
    assert "2 trials failed (max_failures 2)" in said
    assert "last error: job 'use.learn' failed: a rate of" in said
    assert len(table()) < 8


def test_nothing_but_failures_is_a_failure(lab, sweep, go, capsys):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["fail_above"] = 0.0
    assert go(lab, {**sweep, "sweep_max_count": 3}) == 1
    assert "none of them completed; last error: " in capsys.readouterr().err


@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_a_failing_shared_job_ends_it_before_the_first_trial(on_error, lab, sweep, go, capsys):
    lab["on_error"] = on_error
    lab["pipelines"]["use"]["evaluation_job_configs"][0]["extra_configs"]["fail"] = True
    assert go(lab, sweep) == 1
    said = capsys.readouterr().err
    assert "FAILED: use.sum" in said
    assert "trial 0" not in said


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"metric": {"name": "use.learn.loss", "target": 0.5}}, "the target is reached"),
        ({"patience": 2}, "no gain in 2 trials (patience 2)"),
        ({"max_hours": 1e-9}, "max_hours 1e-09 is reached"),
        ({"timeout": 0.001}, "the timeout of 0.001 s is over"),
    ],
)
def test_why_a_search_ends(lab, sweep, go, table, capsys, keys, reason):
    sweep |= {"sweep_max_count": 500, "seed": 3, **keys}
    sweep["parameters"][RATE] = {"min": 0.01, "max": 0.3}
    assert go(lab, sweep) == 0
    assert reason in capsys.readouterr().err
    losses = [float(row["use.learn.loss"]) for row in table()]
    if "patience" in keys:
        assert losses.index(min(losses)) == len(losses) - 3
    if "target" in sweep["metric"]:
        assert losses[-1] <= 0.5 < min([*losses[:-1], 1.0])


def test_best_yaml_has_the_values_as_they_were_drawn(lab, sweep, go, table, config_file):
    """Texts that look like numbers stay texts, and what looks like a variable is not filled in."""
    odd = ["1e5", "25921e05", "$${x}", "yes", "2024-05-06"]
    name = "use.learn.extra_configs.note"
    learn = {"type": "toy_lab.steps.Measure", "note": ""}
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"] = learn
    sweep |= {"method": "grid", "parameters": {name: {"values": odd}}}
    for number in range(len(odd)):
        learn["favourite"] = number
        config_file(dump_config(sweep), "sweep.yaml")
        assert main(["--config", str(config_file(lab))]) == 0
        best = load_or_raise("out/best.yaml")
        planned_jobs = validate(best).planned_jobs
        job = next(planned_job.job for planned_job in planned_jobs if planned_job.job.meta_name == "learn")
        resolved = resolve(job, [], best.variables)
        assert resolved.extra_configs["note"] == {"$${x}": "${x}"}.get(odd[number], odd[number])


def test_several_metrics_give_a_front(lab, sweep, go, table, config_file, outputs):
    from data_juicer_sandbox.cli.main import main

    sweep |= {"metric": [{"name": "use.learn.loss"}, {"name": "sum.scaled", "goal": "maximize"}], "method": "bayes"}
    sweep |= {"sweep_max_count": 15}
    sweep["parameters"][FACTOR] = {"min": 1.0, "max": 2.0}
    assert go(lab, sweep) == 0
    points = [(float(row["use.learn.loss"]), -float(row["sum.scaled"])) for row in table()]
    front = {n for n, a in enumerate(points) if not any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in points)}
    assert {int(path.stem.removeprefix("trial_")) for path in Path("out/front").glob("*.yaml")} == front
    number = max(front)
    assert main(["--config", f"out/front/trial_{number}.yaml"]) == 0
    assert outputs(f"out/runs/trial_{number}")["learn"]["loss"] == points[number][0]


def test_a_job_of_a_trial_finds_what_a_shared_one_watched(lab, sweep, go, outputs):
    lab["pipelines"]["use"]["execution_job_configs"].append(
        {
            "hook": "GeneralDataExecutorHook",
            "meta_name": "ask",
            "output": "found",
            "input": {"extra_configs.after": "learn.loss"},
            "extra_configs": {"type": "toy_lab.steps.Ask", "job": "sum_rows"},
        }
    )
    sweep["sweep_max_count"] = 2
    lab["pipelines"]["make"]["execution_job_configs"].append(
        {
            "hook": "GeneralDataExecutorHook",
            "meta_name": "sum_rows",
            "extra_configs": {"type": "toy_lab.steps.SumRows", "dataset_path": "out/data/rows.jsonl"},
        }
    )
    assert go(lab, sweep) == 0
    for number in range(2):
        found = outputs(f"out/trials/trial_{number}")
        assert found["ask"]["found"] == {"rows": found["sum_rows"]["res_1"]["rows"]}


def test_short_names_set_the_op_of_every_recipe(lab, sweep, go, config_file):
    """The trial's config, as recorded when its job starts, has the value in the recipe."""
    recipe = {"export_path": "out/processed.jsonl", "process": [{"text_length_filter": {"min_len": 1}}]}
    process = {"hook": "ProcessDataHook", "meta_name": "process", "output": "data", "dj_configs": recipe}
    process["input"] = {"dj_configs.dataset_path": "make.rows.path"}
    lab["pipelines"]["use"]["execution_job_configs"].append(process)
    sweep["parameters"] = {"text_length_filter.min_len": {"min": 2, "max": 9}}
    from data_juicer_sandbox.config.loader import load_or_raise
    from data_juicer_sandbox.context.infos import ContextInfos
    from data_juicer_sandbox.search.trial_runner import affected_job_ids
    from data_juicer_sandbox.validation import validate

    config_file(sweep, "sweep.yaml")
    findings = validate(load_or_raise(str(config_file(lab))))
    assert not findings.problems
    assert affected_job_ids(["text_length_filter.min_len"], findings.planned_jobs, ContextInfos()) == {
        "use/execution/process"
    }


def test_plots_and_table(lab, sweep, go, capsys):
    pytest.importorskip("matplotlib")
    sweep |= {
        "plots": True,
        "method": "bayes",
        "early_terminate": {"type": "hyperband", "max_iter": 9, "s": 1, "metric": "learn.loss"},
    }
    sweep["parameters"][FACTOR] = {"distribution": "log_normal", "mu": 0.1, "sigma": 0.5}
    assert go(lab, sweep) == 0
    for name in ("history", "slice", "contour", "importances", "intermediate_values"):
        assert Path(f"out/plots/{name}.png").read_bytes().startswith(b"\x89PNG"), name
    said = capsys.readouterr().err
    assert "trials (" in said
    assert "all 6 trials are done" in said


def test_every_trial_is_in_the_metrics(lab, sweep, go, table):
    assert go(lab, sweep) == 0
    lines = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    found = {row["step"]: row["value"] for row in lines if row.get("name") == "trial.use.learn.loss"}
    assert found == {int(row["number"]): float(row["use.learn.loss"]) for row in table()}


def test_the_plan_says_what_is_shared(lab, sweep, config_file, capsys):
    from data_juicer_sandbox.cli.main import main

    config_file(sweep, "sweep.yaml")
    assert main(["plan", "--config", str(config_file(lab))]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith(("run", "keep"))}
    assert lines["use.learn"].endswith("once in each trial")
    assert lines["make.rows"].endswith("not run yet")
