from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity, summarize
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.windows import Window, nats, windows
from data_juicer_sandbox.components.train.methods import train_tokenizer
from data_juicer_sandbox.errors import ConfigError, JobError

torch = pytest.importorskip("torch", reason="needs the extra `train`")
CONTEXT = 24


@pytest.fixture(scope="module")
def model(tmp_path_factory, docstrings):
    """A tiny random model whose predictions are far from uniform, so that a slip shows in the figures."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = train_tokenizer(docstrings[:50], 300)
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=300, n_positions=CONTEXT, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config).eval()
    for weights in model.parameters():
        weights.data *= 8
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


TEXTS = ["a", "naïve 漢字", "def run(self): return 1", "words and more words, many of them. " * 4, "It is short."]


def by_hand(model, tokenizer, texts, context, stride):
    """Token by token, each with a forward pass of its own over just what it may see."""
    total, count = 0.0, 0
    for text in texts:
        ids = [tokenizer.eos_token_id, *tokenizer(text)["input_ids"]]
        for place in range(1, len(ids)):
            first = 0 if place < context else (-(-(place - context + 1) // stride)) * stride
            start = min(first, max(0, len(ids) - context))
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids[start:place]])).logits[0, -1]
            total -= float(torch.log_softmax(logits.double(), -1)[ids[place]])
            count += 1
    return total, count


@pytest.mark.parametrize("stride", [5, None, CONTEXT - 1])
def test_figures_are_those_of_a_computation_by_hand(model, job, jsonl, stride):
    folder, plain, tokenizer = model
    path = jsonl("held.jsonl", [{"text": text} for text in TEXTS])
    with torch_env.deterministic(threads=1):
        total, count = by_hand(plain, tokenizer, TEXTS, CONTEXT, stride or CONTEXT // 2)
    size = sum(len(text.encode()) for text in TEXTS)
    for batch_size in (1, 3, 16):
        evaluator = HuggingFacePerplexity(str(folder), path, stride=stride, batch_size=batch_size, threads=1)
        ((score,), summary) = evaluator.run(job)
        assert (score["tokens"], score["bytes"], score["documents"]) == (count, size, len(TEXTS))
        assert score["loss"] == pytest.approx(total / count, rel=1e-5)
        assert score["perplexity"] == pytest.approx(math.exp(total / count), rel=1e-4)
        assert score["bits_per_byte"] == pytest.approx(total / math.log(2) / size, rel=1e-5)
        assert summary[0]["mean"] == score["bits_per_byte"]


def test_padded_and_batched_equals_one_by_one(model):
    _, plain, tokenizer = model
    pieces = [Window([0, *tokenizer(text)["input_ids"]][:CONTEXT], 2) for text in TEXTS if len(text) > 1]
    alone = [nats(plain, [piece])[0] for piece in pieces]
    assert nats(plain, pieces) == pytest.approx(alone, rel=1e-5)
    assert len(set(alone)) == len(alone)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 30, 31])
@pytest.mark.parametrize("stride", [1, 3, 7])
def test_windows_score_each_token_but_the_first_once(length, stride):
    scored = []
    for piece in windows(list(range(length)), 8, stride):
        assert len(piece.tokens) <= 8
        assert piece.tokens == list(range(piece.tokens[0], piece.tokens[-1] + 1))
        scored += piece.tokens[len(piece.tokens) - piece.scored :]
    assert scored == list(range(1, length))


def test_several_models_and_sets_with_what_the_models_tell_of_their_making(model, job, quiet, jsonl, tmp_path):
    folder, plain, tokenizer = model
    models = []
    for name, seed in (("raw", 1), ("raw", 2), ("refined", 1)):
        torch.manual_seed(len(models))
        made = tmp_path / f"{name}_seed{seed}"
        plain.save_pretrained(made)
        tokenizer.save_pretrained(made)
        (made / "training.json").write_text(json.dumps({"dataset": name, "seed": seed}))
        models.append(str(made))
    sets = [jsonl("x.jsonl", [{"text": TEXTS[2]}]), jsonl("y.jsonl", [{"text": TEXTS[3]}, {"text": ""}])]
    scores, summary = HuggingFacePerplexity(models, sets).run(job)
    assert [(s["model"], s["dataset"], s["train_dataset"], s["seed"]) for s in scores][:3] == [
        (models[0], "x", "raw", 1),
        (models[0], "y", "raw", 1),
        (models[1], "x", "raw", 2),
    ]
    assert [(s["train_dataset"], s["dataset"], s["n"]) for s in summary] == [
        ("raw", "x", 2),
        ("raw", "y", 2),
        ("refined", "x", 1),
        ("refined", "y", 1),
    ]
    watched = {name: values for _, one in quiet.values for name, values in one.items()}
    assert watched["refined_seed1"]["y"]["bits_per_byte"] == scores[-1]["bits_per_byte"]
    json.dumps([scores, summary])  # plain values
    assert HuggingFacePerplexity(models, sets).run(job) == (scores, summary)

    (untold,), (group,) = HuggingFacePerplexity(str(folder), sets[0]).run(job)
    assert (untold["train_dataset"], untold["seed"], group["train_dataset"]) == ("tiny", None, "tiny")


def test_the_summary_by_training_data():
    scores = [
        {"train_dataset": name, "dataset": "held", "bits_per_byte": value}
        for name, value in (("raw", 2.0), ("refined", 1.0), ("raw", 3.0))
    ]
    assert summarize(scores) == [
        {"train_dataset": "raw", "dataset": "held", "n": 2, "mean": 2.5, "min": 2.0, "max": 3.0, "spread": 1.0},
        {"train_dataset": "refined", "dataset": "held", "n": 1, "mean": 1.0, "min": 1.0, "max": 1.0, "spread": 0.0},
    ]


def test_max_rows(model, job, jsonl):
    path = jsonl("held.jsonl", [{"body": text} for text in TEXTS])
    (score,), _ = HuggingFacePerplexity(str(model[0]), path, text_key="body", max_rows=2).run(job)
    assert (score["documents"], score["bytes"]) == (2, len("anaïve 漢字".encode()))


def test_what_cannot_be_done_is_said(model, job, jsonl, tmp_path):
    path = jsonl("held.jsonl", [{"text": "x"}])
    with pytest.raises(JobError, match="block_size 25 is more than the model's context of 24"):
        HuggingFacePerplexity(str(model[0]), path, block_size=25).run(job)
    with pytest.raises(ConfigError, match="stride 8 is not below block_size 8"):
        HuggingFacePerplexity(str(model[0]), path, block_size=8, stride=8)
    with pytest.raises(JobError, match="stride 24 must be below the window of 24"):
        HuggingFacePerplexity(str(model[0]), path, stride=24).run(job)
    with pytest.raises(JobError, match="no text in"):
        HuggingFacePerplexity(str(model[0]), jsonl("e.jsonl", [{"text": ""}])).run(job)
    with pytest.raises(JobError, match="is neither a folder nor an available model on the hub"):
        HuggingFacePerplexity("nobody/nothing", path).run(job)
    damaged = Path(shutil.copytree(model[0], tmp_path / "damaged"))
    (damaged / "training.json").write_text('{"dataset": ["x"], "seed": {}, "parameters": [1]}')
    scores, _ = HuggingFacePerplexity(str(damaged), path).run(job)
    assert (scores[0]["train_dataset"], scores[0]["seed"], scores[0]["train_tokens"]) == ("damaged", None, None)
    (damaged / "model.safetensors").write_bytes(b"")
    with pytest.raises(JobError, match=r"damaged' cannot be loaded: SafetensorError: Error while deserializing header"):
        HuggingFacePerplexity(str(damaged), path).run(job)
    (damaged / "config.json").unlink()
    os.mkfifo(damaged / "config.json")
    with pytest.raises(JobError, match=r"config.json is a pipe or device, but a model consists of files"):
        HuggingFacePerplexity(str(damaged), path).run(job)
    (empty := Path(tmp_path / "empty")).mkdir()
    with pytest.raises(JobError, match="cannot be loaded"):
        HuggingFacePerplexity(str(empty), path).run(job)
