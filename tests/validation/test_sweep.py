"""A search is judged before its first trial: names, values, metrics, whether it will end."""

from __future__ import annotations

import sys

import pytest

import data_juicer_sandbox as dj
from data_juicer_sandbox.config.loader import load
from data_juicer_sandbox.errors import ConfigErrors
from data_juicer_sandbox.installation import install_command
from data_juicer_sandbox.validation import validate

pytest.importorskip("optuna", reason="pip install -e '.[search]'")

TOY = "toy_lab.steps."


@pytest.fixture
def said(config_file):
    """What is wrong with a search over a small run."""
    lab = {
        "work_dir": "out",
        "hpo_config": "sweep.yaml",
        "pipelines": {
            "p": {
                "execution_job_configs": [
                    {
                        "hook": "ProcessDataHook",
                        "meta_name": "process",
                        "output": "data",
                        "dj_configs": {
                            "dataset_path": "rows.jsonl",
                            "export_path": "out/processed.jsonl",
                            "process": [{"text_length_filter": {"min_len": 1}}, {"special_characters_filter": None}],
                        },
                    },
                    {
                        "hook": "GeneralDataExecutorHook",
                        "meta_name": "learn",
                        "output": "loss",
                        "extra_configs": {"type": TOY + "Descend", "rate": 0.1},
                    },
                ]
            }
        },
    }

    def call(**keys):
        parameters = keys.pop("parameters", {"p.learn.extra_configs.rate": {"min": 0.1, "max": 0.5}})
        sweep = {"method": "random", "sweep_max_count": 3, "metric": {"name": "p.learn.loss"}, **keys}
        config_file({**{k: v for k, v in sweep.items() if v is not None}, "parameters": parameters}, "sweep.yaml")
        config_file('{"text": "a"}\n', "rows.jsonl")
        config, problems = load(str(config_file({**lab, **call.top})))
        return [str(problem) for problem in (*problems, *validate(config).problems)]

    call.top = {}
    return call


def test_a_good_one(said):
    assert said() == []
    parameters = {
        "text_length_filter.min_len": {"min": 1, "max": 20},
        "special_characters_filter.max_ratio": {"min": 0.1, "max": 0.9},
        "p.process.dj_configs.process.0.text_length_filter.max_len": {"values": [100, 200]},
        "p.learn.extra_configs.steps": {"distribution": "q_log_uniform_values", "min": 1, "max": 50},
    }
    assert said(parameters=parameters) == []


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("text_lenght_filter.min_len", {"value": 1}, "did you mean 'text_length_filter.min_len'?"),
        ("text_length_filter.min_length", {"value": 1}, "min_len"),
        ("text_length_filter.min_len", {"min": 0.5, "max": 2.5}, "min_len` cannot be 0.5"),
        ("text_length_filter.min_len", {"values": [1, "two"]}, "min_len` cannot be 'two'"),
        ("p.lern.extra_configs.rate", {"value": 1}, "did you mean 'p.learn.extra_configs.rate'?"),
        ("p.learn.extra_configs.rat", {"value": 1}, "did you mean 'rate'?"),
        ("p.learn.extra_configs.steps", {"min": 0, "max": 4}, "steps"),
        ("p.learn.dj_configs.process.0.x.y", {"value": 1}, "job 'p.learn' has no `dj_configs`"),
        (
            "p.process.dj_configs.process.7.text_length_filter.min_len",
            {"value": 1},
            "index 7 is out of range for a list of 2",
        ),
        ("rate", {"value": 1}, "sets nothing"),
        ("p.process.dj_configs", {"values": ["rows.jsonl", "none.yaml"]}, "there is no file 'none.yaml'"),
    ],
)
def test_a_parameter_that_leads_nowhere_or_may_not_have_such_values(said, name, spec, expected):
    problems = said(parameters={name: spec})
    assert len(problems) == 1, problems
    assert problems[0].startswith("sweep.yaml:6: ")
    assert repr(name) in problems[0]
    assert expected in problems[0]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("p.learn.los", "'p.learn' has no such output (did you mean 'p.learn.loss'?"),
        ("p.lern.loss", "did you mean 'p.learn'?"),
        ("lern.loss", "did you mean 'learn'?"),
        ("loss", "<pipeline>.<meta_name>.<output>, or <meta_name>.<watched key>"),
    ],
)
def test_a_metric_no_job_will_produce(said, metric, expected):
    problems = said(metric={"name": metric})
    assert len(problems) == 1, problems
    assert f"sweep.yaml:3: no job will produce the metric {metric!r}" in problems[0]
    assert expected in problems[0]
    assert said(metric={"name": "learn.anything"}) == []  # what is watched is not known beforehand


def test_it_must_end_and_a_grid_must_be_finite(said):
    assert "nothing would end this search (sweep_max_count: the number of trials)" in said(sweep_max_count=None)[0]
    for key in ("patience", "max_hours", "timeout"):
        assert said(sweep_max_count=None, **{key: 1}) == []
    assert said(sweep_max_count=None, metric={"name": "p.learn.loss", "target": 1}) == []
    assert "p.learn.extra_configs.rate is continuous" in said(method="grid")[0]
    grid = {"p.learn.extra_configs.rate": {"values": [0.1, 0.2]}}
    assert said(method="grid", parameters=grid, sweep_max_count=None) == []


def test_a_probe_and_its_refine_job_share_a_name_and_the_key_says_which_is_meant(config_file):
    from data_juicer_sandbox.workflow.overrides import resolve_parameter

    recipe = {"dataset_path": "rows.jsonl", "export_path": "out/a.jsonl", "process": [{"text_length_filter": None}]}
    refine = {"path_k_sigma_recipe": "out/recipe.yaml", "k": 3}
    probe = {"hook": "ProbeViaAnalyzerHook", "meta_name": "look", "dj_configs": recipe}
    lab = {
        "work_dir": "out",
        "probe_job_configs": [probe],
        "refine_recipe_job_configs": [{**probe, "hook": "RefineRecipeViaKSigmaHook", "extra_configs": refine}],
    }
    config_file('{"text": "a"}\n', "rows.jsonl")
    planned_jobs = validate(load(str(config_file(lab)))[0]).planned_jobs
    assert [one.job.phase.value for one, _ in resolve_parameter("anonymous.look.extra_configs.k", planned_jobs)] == [
        "refine_recipe"
    ]
    assert [
        one.job.phase.value for one, _ in resolve_parameter("anonymous.look.extra_configs.plots", planned_jobs)
    ] == ["probe"]
    assert len(resolve_parameter("anonymous.look.dj_configs.export_path", planned_jobs)) == 2


def test_two_names_of_one_key(said):
    parameters = {
        "text_length_filter.min_len": {"min": 1, "max": 20},
        "p.process.dj_configs.process.0.text_length_filter.min_len": {"min": 1, "max": 5},
    }
    assert "set the same key of job 'p.process'" in said(parameters=parameters)[0]


def test_samplers_and_pruners_by_name(said):
    assert said(sampler={"name": "TPESampler", "n_startup_trials": 3}, pruner="MedianPruner") == []
    by_name = said(sampler="GridSampler")
    assert len(by_name) == 1
    assert "is continuous" in by_name[0]
    grid = {"p.learn.extra_configs.rate": {"values": [0.1, 0.2]}}
    assert said(sampler="GridSampler", parameters=grid, sweep_max_count=None) == []
    assert "did you mean 'TPESampler'?" in said(sampler="TPESampeler")[0]
    assert "TPESampler takes no 'startup'" in said(sampler={"name": "TPESampler", "startup": 3})[0]
    assert "did you mean 'MedianPruner'?" in said(pruner="MedianPrunner")[0]
    assert "ThresholdPruner takes no 'top'" in said(pruner={"name": "ThresholdPruner", "top": 1})[0]


def test_without_optuna_the_command_that_installs_it(said, monkeypatch):
    monkeypatch.setattr("data_juicer_sandbox.validation.libraries.is_installed", lambda name: name != "optuna")
    monkeypatch.setitem(sys.modules, "optuna", None)  # its import fails
    assert said(sampler="TPESampler") == []
    expected = f"sweep.yaml:1: the search: not installed here: optuna ({install_command('search')})"
    assert dj.Sandbox("sandbox.yaml").validate()[-1] == expected
    with pytest.raises(ConfigErrors) as refused:
        dj.Sandbox("sandbox.yaml").run()
    assert [str(problem) for problem in refused.value.problems] == [expected]


def test_what_cannot_be_had_together(said):
    two = [{"name": "p.learn.loss"}, {"name": "learn.gain"}]
    assert "cannot be pruned" in said(metric=two, early_terminate={"type": "hyperband", "min_iter": 2})[0]
    said.top = {"max_iter_num": 3}
    assert "a search and iterations cannot be combined in one run" in said()[0]


def test_wandb_offline_says_what_is_missing(said, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    problems = said(backend="wandb")
    assert len(problems) == 1
    assert "`backend: wandb` needs a W&B server" in problems[0]
    assert "set WANDB_API_KEY" in problems[0]
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert said(backend="wandb") == problems
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert said(backend="wandb") == []


def test_values_of_a_config_s_own_parameters_are_judged_too(config_file):
    config, problems = load(
        str(
            config_file(
                "work_dir: out\nparameters:\n  anonymous.learn.extra_configs.rat: 0.5\nexecution_job_configs:\n"
                "  - hook: GeneralDataExecutorHook\n    meta_name: learn\n"
                f"    extra_configs: {{type: {TOY}Descend, rate: 0.1}}\n"
            )
        )
    )
    assert not problems
    found = [str(problem) for problem in validate(config).problems]
    assert len(found) == 1
    assert "sandbox.yaml:3: parameter 'anonymous.learn.extra_configs.rat'" in found[0]


def test_no_such_file(config_file):
    _, problems = load(str(config_file("work_dir: out\nhpo_config: none.yaml\n")))
    assert [str(problem).rpartition("/")[2] for problem in problems] == [
        "sandbox.yaml:2: `hpo_config`: the file 'none.yaml' does not exist"
    ]
