"""Scores of lm_eval and evalscope name the training data and the seed of each model, so that data can be compared.

The scripts run for real; the frameworks, which are not among the test requirements, are replaced by modules that score
a model by a number in its folder. `test_lm_eval.py` and `test_evalscope.py` run the frameworks themselves.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.evalscope import EvalScope
from data_juicer_sandbox.components.evaluate.lm_eval import LMEval
from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.pools.ranking import DataPoolRanking
from data_juicer_sandbox.engine.conclusions import conclusions

LM_EVAL = """
from pathlib import Path
def simple_evaluate(model_args, tasks, **_):
    score = float((Path(model_args["pretrained"]) / "score").read_text())
    results = {task: {"acc,none": score, "bits_per_byte,none": 2 - score} for task in tasks}
    samples = {task: {"effective": 9} for task in tasks}
    return {"results": results, "n-samples": samples, "n-shot": dict.fromkeys(tasks, 0)}
"""
TASKS = """
class TaskManager:
    all_tasks = ["t"]
    def __init__(self, **_): pass
    def match_tasks(self, tasks): return tasks
"""
EVALSCOPE = """
from pathlib import Path
from types import SimpleNamespace as Space
def TaskConfig(**values): return Space(**values)
def run_task(config):
    score = float((Path(config.model) / "score").read_text())
    metric = Space(identity=Space(name="acc", dimensions={}, aggregation="mean"), score=score, categories=[])
    return {name: Space(num=9, metrics=[metric]) for name in config.datasets}
"""


@pytest.fixture
def models(tmp_path):
    """Two models of each of two data sets, and one that somebody else has trained."""
    folders = []
    for dataset, scores in (("good", (0.8, 0.81)), ("plain", (0.5, 0.52))):
        for seed, score in enumerate(scores, 1):
            folder = tmp_path / f"{dataset}_seed{seed}"
            folder.mkdir()
            (folder / "score").write_text(str(score))
            metadata.write(folder, {"dataset": dataset, "seed": seed, "parameters": {"max_tokens": 640}}, {})
            folders.append(str(folder))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/score").write_text("0.1")
    return [*folders, str(tmp_path / "other")]


@pytest.fixture
def frameworks(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="needs the extra `train`")
    for name, text in (("lm_eval/__init__", LM_EVAL), ("lm_eval/tasks", TASKS), ("evalscope", EVALSCOPE)):
        path = tmp_path / f"frameworks/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "frameworks"), str(Path.cwd())]))


ABOUT = [("good", 640, 1), ("good", 640, 2), ("plain", 640, 1), ("plain", 640, 2), ("other", None, None)]


@pytest.mark.parametrize("kind", ["lm_eval", "evalscope"])
def test_scores_name_training_data_and_seed_and_rank_it_with_a_verdict(job, quiet, frameworks, models, jsonl, kind):
    if kind == "lm_eval":
        scores = LMEval(models, "t", python=sys.executable).run(job)
        assert [score["task"] for score in scores] == ["t"] * 5
    else:
        scores = EvalScope(models, "t", python=sys.executable).run(job)
        assert [score["dataset"] for score in scores] == ["t"] * 5
    assert [(score["train_dataset"], score["train_tokens"], score["seed"]) for score in scores] == ABOUT
    assert [score["acc"] for score in scores] == [0.8, 0.81, 0.5, 0.52, 0.1]
    assert all(score["samples"] == 9 for score in scores)
    pools = [jsonl(f"{name}.jsonl", [{}]) for name in ("plain", "good")]
    settings = {"ranking_keys": "acc", "descending": True, "match_key": "train_dataset", "baseline": "plain"}
    (best, *_) = DataPoolRanking(pools, scores[:4], **settings).run(job)
    assert best == pools[1]
    assert quiet.query("a_job")["good"]["verdict"] == {"acc": "better"}
    assert quiet.query("a_job")["good"]["seeds"] == 2


def test_a_run_says_which_data_is_better_on_a_task(job, frameworks, models):
    scores = LMEval(models[:4], "t", python=sys.executable).run(job)
    (sentence,) = conclusions([("p.score", "scores", scores)], [])
    assert sentence.startswith(
        "p.score.scores on t: good has the lowest bits_per_byte, 1.1950, against 1.4900 of plain"
    )
    assert "2 seeds; the difference exceeds the noise of the seeds" in sentence
