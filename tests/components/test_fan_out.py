"""The components whose work has several items give the same by their items as at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import data_juicer_sandbox as dj
from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.infer.huggingface import HuggingFaceInference
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.testing.components import divisible
from data_juicer_sandbox.testing.observation import Bench

pytest.importorskip("transformers")

TRAINING = {
    "dataset_path": ["a.jsonl", "b.jsonl"],
    "export_path": "models",
    "seeds": [1, 2],
    "max_steps": 3,
    "vocab_size": 300,
    "n_layer": 1,
    "n_embd": 16,
    "n_head": 2,
    "block_size": 32,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two data sets, and two models that were trained on them."""
    folder = tmp_path_factory.mktemp("inputs")
    for name, word in (("a", "good"), ("b", "bad")):
        rows = [
            {"text": f"the {word} sentence number {number} of a short list", "prompt": word} for number in range(12)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(autouse=True)
def every_task_is_worth_a_process(monkeypatch):
    monkeypatch.setattr(torch_env, "WORTHWHILE", 0)


@pytest.fixture(scope="module")
def models(folder, tmp_path_factory):
    """The inputs, with two trained models beside them."""
    together = tmp_path_factory.mktemp("models")
    shutil.copytree(folder, together, dirs_exist_ok=True)
    values = {**TRAINING, "seeds": 1, "dataset_path": [str(together / "a.jsonl"), str(together / "b.jsonl")]}
    dj.run_component("huggingface", factory="ModelTrainExecutorFactory", **{**values, "export_path": together})
    return together


def bench(cls, values, folder, tmp_path):
    return Bench(cls, values, Path(folder), tmp_path, {})


def test_models_are_trained(folder, tmp_path):
    trained = bench(HuggingFaceTrainer, TRAINING, folder, tmp_path)
    assert [Path(path).name for path in trained.first().result] == ["a_seed1", "a_seed2", "b_seed1", "b_seed2"]
    assert list(divisible(trained, deterministic=True)) == []


def test_models_are_scored(models, tmp_path):
    values = {"model": ["a_seed1", "b_seed1"], "dataset_path": ["a.jsonl", "b.jsonl"]}
    scored = bench(HuggingFacePerplexity, values, models, tmp_path)
    scores, _ = scored.first().result
    assert [(Path(score["model"]).name, score["dataset"]) for score in scores] == [
        ("a_seed1", "a"),
        ("a_seed1", "b"),
        ("b_seed1", "a"),
        ("b_seed1", "b"),
    ]
    assert list(divisible(scored, deterministic=True)) == []


def test_data_sets_are_answered(models, tmp_path):
    values = {
        "model": "a_seed1",
        "dataset_path": ["a.jsonl", "b.jsonl"],
        "export_path": "answers",
        "sampling_params": {"max_tokens": 4},
        "func_kwargs": {"query_key": "prompt"},
    }
    answered = bench(HuggingFaceInference, values, models, tmp_path)
    assert answered.first().error is None
    assert [Path(path).name for path in answered.first().result] == ["a_inference.jsonl", "b_inference.jsonl"]
    assert list(divisible(answered, deterministic=True)) == []


def test_small_work_is_not_divided(models, tmp_path, monkeypatch):
    monkeypatch.chdir(models)
    monkeypatch.setattr(torch_env, "WORTHWHILE", 10**12)
    for cls, values in (
        (HuggingFaceTrainer, TRAINING),
        (HuggingFacePerplexity, {"model": ["a_seed1", "b_seed1"], "dataset_path": "a.jsonl"}),
    ):
        job = JobRun("p", "job", tmp_path, NullJob(), NullJob())
        assert cls(**values).items(job) == []
