"""The sweep file: every distribution of W&B, and every mistake with its line."""

from __future__ import annotations

import math

import pytest
import yaml

from data_juicer_sandbox.config.distributions import Choice, Normal, Range, nearest
from data_juicer_sandbox.config.sweep import KNOWN, Named, read_sweep


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(text):
        (tmp_path / "sweep.yaml").write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False))
        return read_sweep("sweep.yaml", {"work_dir": "out"})

    return call


def one(read, spec):
    sweep, problems = read({"method": "random", "metric": {"name": "a.b"}, "parameters": {"op.arg": spec}})
    return (sweep.parameters[0].distribution if sweep.parameters else None), [str(problem) for problem in problems]


E = math.e


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"value": 3}, Choice((3,))),
        ({"distribution": "constant", "value": [1, 2]}, Choice(([1, 2],))),
        ({"values": ["a", "b"]}, Choice(("a", "b"))),
        ({"values": [1, True, 1.5]}, Choice((1, True, 1.5))),
        ({"values": ["a", "b"], "probabilities": [0.25, 0.75]}, Choice(("a", "b"), (0.25, 0.75))),
        ({"min": 1, "max": 9}, Range(1, 9, 1)),
        ({"distribution": "int_uniform", "min": 1, "max": 9}, Range(1, 9, 1)),
        ({"min": 0.5, "max": 2}, Range(0.5, 2.0)),
        ({"distribution": "uniform", "min": 1, "max": 9}, Range(1.0, 9.0)),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, Range(0.0, 1.0, 0.25)),
        ({"distribution": "q_uniform", "min": 1.2, "max": 8.9}, Range(1, 9, 1)),
        ({"distribution": "log_uniform", "min": 0, "max": 1}, Range(1.0, E, log=True)),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 1}, Range(0.01, 1.0, log=True)),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 1}, Range(1 / E, 1.0, log=True)),
        ({"distribution": "inv_log_uniform_values", "min": 0.01, "max": 1}, Range(0.01, 1.0, log=True)),
        ({"distribution": "q_log_uniform", "min": 0, "max": 1, "q": 0.5}, Range(1.0, E, log=True, rounded=0.5)),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 99}, Range(1.0, 99.0, log=True, rounded=1)),
        ({"distribution": "normal"}, Normal(0.0, 1.0)),
        ({"mu": 2, "sigma": 3}, Normal(2.0, 3.0)),
        ({"distribution": "log_normal", "mu": 1}, Normal(1.0, 1.0, log=True)),
        ({"distribution": "q_normal", "q": 2}, Normal(0.0, 1.0, rounded=2)),
        ({"distribution": "q_log_normal", "sigma": 0.5}, Normal(0.0, 0.5, log=True, rounded=1)),
    ],
)
def test_every_distribution(read, spec, expected):
    assert one(read, spec) == (expected, [])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"distribution": "uniforn", "min": 0, "max": 1}, "unknown distribution 'uniforn' (did you mean 'uniform'?"),
        ({"min": 2, "max": 1}, "`min` 2 is not below `max` 1"),
        ({"min": 1, "max": 1}, "`min` 1 is not below `max` 1"),
        ({"min": 0}, "has no distribution (value, values, or min and max)"),
        ({"distribution": "uniform", "min": 0}, "a uniform distribution needs max"),
        ({"distribution": "uniform", "min": 0, "max": 1, "q": 2}, "a uniform distribution has no 'q'"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "`min` and `max` of int_uniform are whole numbers"),
        ({"min": "0", "max": 1}, "'min' must be a number, not '0'"),
        ({"min": 0.0, "max": math.inf}, "'max' must be a number, not inf"),
        ({"values": []}, "`values` must be a list that is not empty"),
        ({"values": [1, 2, 1]}, "`values` contains a value twice"),
        ({"values": [1, 2], "probabilities": [0.5]}, "`probabilities` must be 2 numbers from 0 to 1 that sum to 1"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "sum to 1"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "must be more than 0"),
        ({"distribution": "log_uniform", "min": 1, "max": 5000}, "log_uniform_values: plain numbers"),
        ({"distribution": "normal", "sigma": 0}, "'sigma' must be more than 0"),
        (3, "must be a mapping, not 3 ({value: 3})"),
    ],
)
def test_every_mistake_in_a_parameter(read, spec, said):
    found, problems = one(read, spec)
    assert found is None
    assert len(problems) == 1, problems
    assert said in problems[0]
    assert problems[0].startswith("sweep.yaml:")


def test_nested_parameters_are_named_with_dots(read):
    sweep, problems = read(
        "metric: {name: a.b}\nsweep_max_count: 3\nparameters:\n  op:\n    parameters:\n      low: {value: 1}\n"
        "      deep:\n        parameters:\n          high: {min: 1, max: 2}\n"
    )
    assert not problems
    assert [(p.name, str(sweep.where(*p.path))) for p in sweep.parameters] == [
        ("op.low", "sweep.yaml:6"),
        ("op.deep.high", "sweep.yaml:9"),
    ]


def test_all_mistakes_at_once_each_with_its_line(read):
    _, problems = read(
        "method: byes\nmetric:\n  name: a.b\n  gaol: maximize\nsweep_max_cont: 3\nn_jobs: two\nseed: 1.5\n"
        "patience: 0\nearly_terminate:\n  type: hyperband\n  min_iter: 2\n  max_iter: 9\n"
        "parameters:\n  a.b: {values: 3}\n"
    )
    found = {str(problem.where): str(problem) for problem in problems}
    assert "did you mean 'bayes'?" in found["sweep.yaml:1"]
    assert "did you mean 'goal'?" in found["sweep.yaml:4"]
    assert "did you mean 'sweep_max_count'?" in found["sweep.yaml:5"]
    assert "'n_jobs' must be a whole number" in found["sweep.yaml:6"]
    assert "'seed' must be a whole number" in found["sweep.yaml:7"]
    assert "'patience' must be more than 0" in found["sweep.yaml:8"]
    assert "either `min_iter`, or `max_iter` with `s`" in found["sweep.yaml:9"]
    assert "`values` must be a list" in found["sweep.yaml:14"]
    assert len(problems) == 8


@pytest.mark.parametrize(
    ("given", "pruner"),
    [
        (
            {"type": "hyperband", "min_iter": 4},
            Named("SuccessiveHalvingPruner", {"min_resource": 4, "reduction_factor": 3}),
        ),
        (
            {"type": "hyperband", "max_iter": 27, "s": 2, "eta": 3},
            Named("SuccessiveHalvingPruner", {"min_resource": 3, "reduction_factor": 3}),
        ),
        (
            {"type": "hyperband", "max_iter": 32, "s": 3, "eta": 2},
            Named("SuccessiveHalvingPruner", {"min_resource": 4, "reduction_factor": 2}),
        ),
    ],
)
def test_early_termination_as_wandb_counts_its_brackets(read, given, pruner):
    """With max_iter, s and eta, W&B's brackets lie at max_iter / eta^k for k up to s; the first is the smallest."""
    sweep, problems = read({"metric": {"name": "a.b"}, "parameters": {"a.b": {"value": 1}}, "early_terminate": given})
    assert not problems
    assert sweep.pruner == pruner


@pytest.mark.parametrize("key", ["early_terminate", "pruner"])
@pytest.mark.parametrize(
    ("metric", "given", "maximize", "problem"),
    [
        ({"name": "p.a.b", "goal": "maximize"}, {"metric": "p.a.b"}, True, None),
        ({"name": "p.a.b", "goal": "maximize"}, {"metric": "a.b"}, True, None),
        ({"name": "p.a.b", "goal": "maximize"}, {"metric": "a.*"}, True, None),
        ({"name": "p.a.b"}, {"metric": "a.b"}, False, None),
        ({"name": "p.a.b", "goal": "maximize"}, {"metric": "a.b", "goal": "maximize"}, True, None),
        ({"name": "p.a.b", "goal": "maximize"}, {"metric": "a.c", "goal": "minimize"}, False, None),
        ({"name": "p.a.b", "goal": "maximize"}, {"metric": "a.b", "goal": "minimize"}, None, "is to maximize"),
        ({"name": "a.b", "goal": "maximize"}, {"metric": "p.a.b"}, True, None),
        ({"name": "a.b", "goal": "maximize"}, {"metric": "p.a.b", "goal": "minimize"}, None, "is to maximize"),
        ({"name": "a.b", "goal": "maximize"}, {"metric": "p.*", "goal": "minimize"}, False, None),
        ({"name": "p.a.b", "goal": "maximize"}, {"metric": "a.c"}, None, "'a.c' needs a `goal`"),
        ({"name": "p.a.b", "goal": "maximize"}, {"goal": "minimize"}, None, "is to maximize"),
    ],
)
def test_the_pruner_takes_the_goal_of_the_metric(read, key, metric, given, maximize, problem):
    kind = {"type": "hyperband", "min_iter": 2} if key == "early_terminate" else {"name": "MedianPruner"}
    sweep, problems = read({"metric": metric, "parameters": {"a.b": {"value": 1}}, key: {**kind, **given}})
    if problem is None:
        assert not problems
        assert sweep.reports.maximize is maximize
    else:
        assert [problem in str(fault) for fault in problems] == [True]


@pytest.mark.parametrize(
    ("metric", "reported", "name"),
    [("p.a.b", "a.*", "p.a.b"), ("p.a.b", "a.b", "p.a.b"), ("a.b", "p.a.b", "p.a.b"), ("a.b", "a.*", "a.b")],
)
def test_a_pattern_that_fits_a_metric_of_the_search_stands_for_this_metric(read, metric, reported, name):
    ending = {"type": "hyperband", "min_iter": 2, "metric": reported}
    sweep, problems = read({"metric": {"name": metric}, "parameters": {"a.b": {"value": 1}}, "early_terminate": ending})
    assert not problems
    assert sweep.reports.name == name


def test_what_wandb_needs_to_start_a_program_is_let_be(read):
    text = {"program": "train.py", "command": ["python"], "project": "p", "metric": {"name": "a.b"}}
    sweep, problems = read({**text, "parameters": {"a.b": {"value": 1}}})
    assert not problems
    assert (sweep.method, sweep.metrics[0].maximize) == ("bayes", False)


def test_no_file_no_mapping_no_metric(read, tmp_path):
    assert "no such file" in str(read_sweep(str(tmp_path / "none.yaml"), {})[1][0])
    assert "a sweep file must be a mapping of keys" in str(read("- a\n")[1][0])
    said = [str(problem) for problem in read("method: random\n")[1]]
    assert any("the search needs a metric with a name" in text for text in said)
    assert any("`parameters` must be a mapping of names to distributions" in text for text in said)
    assert "metric" in KNOWN


def test_rounding():
    assert nearest(0.31, 0.1) == 0.3
    assert nearest(7.4, 5) == 5
    assert isinstance(nearest(7.4, 5), int)
