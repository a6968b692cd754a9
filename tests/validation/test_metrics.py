"""A metric that no job reports is an error before the run, as far as the components declare what they report."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.config.loader import load
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.validation import validate

pytest.importorskip("optuna", reason="pip install 'data-juicer-sandbox[search]'")

TRAIN = {
    "hook": "TrainModelHook",
    "meta_name": "train",
    "output": "models",
    "extra_configs": {
        "type": "huggingface", "dataset_path": "wiki.jsonl", "seeds": [1, 2], "eval_dataset_path": "held.jsonl"
    },
}  # fmt: skip
SCORE = {
    "hook": "EvaluateModelHook",
    "meta_name": "score",
    "output": ["scores", "total"],
    "input": {"extra_configs.model": "train.models"},
    "extra_configs": {"type": "huggingface_perplexity", "dataset_path": "held.jsonl"},
}
ASK = {
    "hook": "EvaluateModelHook",
    "meta_name": "ask",
    "extra_configs": {"type": "command", "argv": ["true"], "metrics": "jsonl"},
}


@pytest.fixture
def problems(config_file):
    """The problems of a training and two evaluations with this search or these targets."""

    def call(sweep=None, **top):
        for name in ("wiki.jsonl", "held.jsonl"):
            config_file('{"text": "a"}\n', name)
        jobs = {"execution_job_configs": [TRAIN], "evaluation_job_configs": [SCORE, ASK]}
        content = {"work_dir": "out", "pipelines": {"p": jobs}, **top}
        if sweep is not None:
            parameters = {"p.train.extra_configs.learning_rate": {"min": 0.001, "max": 0.1}}
            base = {"method": "random", "sweep_max_count": 3, "parameters": parameters}
            config_file({**base, "metric": {"name": "p.score.total.0.mean"}, **sweep}, "sweep.yaml")
            content["hpo_config"] = "sweep.yaml"
        config, errors = load(str(config_file(content)))
        return [str(problem) for problem in (*errors, *validate(config).problems)]

    return call


@pytest.mark.parametrize(
    "name",
    [
        "p.score.total.0.mean",
        "score.total.0.mean",
        "p.score.scores.3.bits_per_byte",
        "score.any_model.held.bits_per_byte",
        "train.wiki_seed1.loss",
        "train.wiki_seed2.eval.bits_per_byte",
        "ask.whatever",
        "p.ask.res_1.whatever",
    ],
)
def test_a_metric_that_may_exist(problems, name):
    assert problems({"metric": {"name": name}}) == []


@pytest.mark.parametrize(
    ("name", "reason", "nearest"),
    [
        ("p.score.total.0.maen", "'p.score' reports no such number", "p.score.total.<n>.mean"),
        ("p.score.summary.0.mean", "'p.score' has no such output", "p.score.total.<n>.mean"),
        ("score.any_model.held.bits_per_bite", "'p.score' reports no such number", "score.<model>.held.bits_per_byte"),
        ("score.any_model.hold.bits_per_byte", "'p.score' reports no such number", "score.<model>.held.bits_per_byte"),
        ("train.wiki_seed3.loss", "'p.train' reports no such number", "train.wiki_seed1.loss"),
        ("train.wiki_seed1.eval.accuracy", "'p.train' reports no such number", "train.wiki_seed1.eval.bits_per_byte"),
        ("p.train.models", "the output 'models' of 'p.train' is not a number", "train.wiki_seed1.loss"),
    ],
)
def test_a_metric_that_cannot_exist(problems, name, reason, nearest):
    (problem,) = problems({"metric": {"name": name}})
    assert f"sweep.yaml:7: no job will produce the metric {name!r}: {reason}" in problem
    assert nearest in problem


@pytest.mark.parametrize("name", ["train.*.eval.loss", "p.train.wiki_seed1.loss", "train.wiki_seed[12].*", "ask.*"])
def test_a_metric_to_prune_by(problems, name):
    assert problems({"early_terminate": {"type": "hyperband", "min_iter": 1, "metric": name, "goal": "minimize"}}) == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("train.*.eval.accuracy", "train.wiki_seed1.eval.loss"),
        ("train.other_*.loss", "train.wiki_seed1.loss"),
        ("score.*.held.loss", "train.wiki_seed1.loss"),
    ],
)
def test_a_metric_to_prune_by_that_no_job_reports_with_steps(problems, name, nearest):
    settings = {"type": "hyperband", "min_iter": 1, "metric": name, "goal": "minimize"}
    (problem,) = problems({"early_terminate": settings})
    assert f"no trial can be pruned: no job reports {name!r} with a step" in problem
    assert nearest in problem


def test_pruning_by_a_result_needs_another_metric(problems):
    (problem,) = problems({"early_terminate": {"type": "hyperband", "min_iter": 1}})
    assert "no job reports 'p.score.total.0.mean' with a step (name one as `metric` of `early_terminate`" in problem


def test_targets(problems):
    assert problems(max_iter_num=2, iter_targets=["p.score.total.0.mean <= 2", "p.ask.res_1.x > 1"]) == []
    (problem,) = problems(max_iter_num=2, iter_targets=["p.score.total.0.maen <= 2"])
    assert "a target names 'p.score.total.0.maen', but 'total' has no number '0.maen'" in problem
    assert "did you mean 'total.<n>.mean'?" in problem
    (problem,) = problems(max_iter_num=2, iter_targets=["p.train.models <= 2"])
    assert "a target names 'p.train.models', but the output 'models' is not a number" in problem


def test_every_built_in_component_but_programs_of_the_user_declares_its_metrics():
    undeclared = {
        (factory.name, name) for factory in FACTORIES.values() for name in factory.builtin
        if factory.find(name).metrics is None
    }  # fmt: skip
    assert undeclared == {("ModelTrainExecutorFactory", "command"), ("ModelEvaluatorFactory", "command")}
