"""The user's own code is part of what a model is made from."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

import pytest

from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.train.grpo import RewardTrainer
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer

pytest.importorskip("torch", reason="needs the extra `train`")


@pytest.fixture
def reward(tmp_path, monkeypatch):
    """Write a reward function, which is not imported yet, as in a new process."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text):
        (tmp_path / "tcode_reward.py").write_text(text)
        sys.modules.pop("tcode_reward", None)
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("tcode_reward", None)


def test_a_model_trained_with_another_code_of_the_reward_does_not_stand(job, jsonl, tiny_model, tmp_path, reward):
    prompts = jsonl("prompts.jsonl", [{"prompt": "a"}])

    def order():
        made = RewardTrainer(prompts, tiny_model, reward="tcode_reward.score", export_path=str(tmp_path / "m"))
        return made, made.training_tasks(job)[0]

    reward("def score(prompts, completions, **_):\n    return [1.0] * len(prompts)\n")
    trainer, wanted = order()
    wanted.target.mkdir(parents=True)
    metadata.write(wanted.target, wanted.inputs, {"steps": 1, "final_loss": 0.5})
    assert trainer.is_complete(job, wanted)
    assert order()[0].is_complete(job, order()[1])
    reward("def score(prompts, completions, **_):\n    return [2.0] * len(prompts)\n")
    trainer, wanted = order()
    assert not trainer.is_complete(job, wanted)


@dataclass
class Mine(HuggingFaceTrainer):
    """A trainer of one's own."""


def test_only_the_users_code_is_recorded(job, corpus, tiny):
    (ours,) = HuggingFaceTrainer(corpus, **tiny).training_tasks(job)
    assert "code" not in ours.inputs  # so that models of earlier versions stand
    (mine,) = Mine(corpus, **tiny).training_tasks(job)
    assert list(mine.inputs["code"]) == [Mine.__module__]
