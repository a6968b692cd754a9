from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.components.train.sft import SupervisedTrainer

pytestmark = pytest.mark.slow


@pytest.fixture
def oddity(jsonl):
    """Texts of a made-up language."""
    return jsonl("oddity.jsonl", [{"text": f"Zib {n} vorp {n + 1} quon {n + 2}, blen? " * 6} for n in range(40)])


def test_a_real_model_learns_by_lora(job, quiet, oddity, smollm2):
    (folder,) = HuggingFaceTrainer(
        oddity, method="lora", model=smollm2, max_steps=8, block_size=64, batch_size=2, learning_rate=2e-3
    ).run(job)
    losses = [figures["loss"] for _, values in quiet.values for figures in values.values()]
    assert losses[-1] < losses[0] - 0.5
    scores, _ = HuggingFacePerplexity([smollm2, folder], oddity, max_rows=2).run(job)
    assert scores[1]["bits_per_byte"] < 0.7 * scores[0]["bits_per_byte"]


def test_a_real_chat_model_learns_answers(job, quiet, jsonl, smollm2):
    rows = [
        {"messages": [{"role": "user", "content": f"Zib {n}?"}, {"role": "assistant", "content": f"Vorp {n + 1}."}]}
        for n in range(30)
    ]
    (folder,) = SupervisedTrainer(
        jsonl("zib.jsonl", rows), smollm2, lora=True, max_steps=8, batch_size=4, learning_rate=1e-3
    ).run(job)
    losses = [figures["loss"] for _, values in quiet.values for figures in values.values()]
    assert losses[-1] < losses[0] - 0.5
    told = json.loads((Path(folder) / "training.json").read_text())
    assert told["assistant_only"] in (True, False)
