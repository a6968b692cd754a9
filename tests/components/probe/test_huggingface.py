from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.probe.huggingface import HuggingFaceInferEvaluator
from data_juicer_sandbox.errors import ConfigError, JobError

CONTEXT = 24
TEXTS = ["a", "naïve 漢字", "def run(self): return 1", "words and more words, many of them. " * 4, "It is short."]
NUMBERS = ("loss", "perplexity", "bits_per_byte", "confidence")


def ask(job, *args, **options):
    path, summary = HuggingFaceInferEvaluator(*args, threads=1, **options).run(job)
    return [row["__feedback__"] for row in read_rows(path)], summary


def by_hand(model, tokenizer, text, context, stride, limit=None):
    """Token by token, each with a forward pass of its own over just what it may see."""
    import torch

    ids = [tokenizer.eos_token_id, *tokenizer(text)["input_ids"][:limit]]
    nats, chances = [], []
    for place in range(1, len(ids)):
        first = 0 if place < context else (-(-(place - context + 1) // stride)) * stride
        with torch.no_grad():
            start = min(first, max(0, len(ids) - context))
            logits = model(input_ids=torch.tensor([ids[start:place]])).logits[0, -1].double()
        nats.append(-float(torch.log_softmax(logits, -1)[ids[place]]))
        chances.append(math.exp(-nats[-1]))
    return sum(nats), sum(chances) / len(chances), len(nats)


@pytest.mark.parametrize("stride", [5, None])
def test_figures_are_those_of_a_computation_by_hand(causal, job, jsonl, stride):
    folder, model, tokenizer = causal
    path = jsonl("rows.jsonl", [{"text": text} for text in TEXTS])
    wanted = []
    with torch_env.deterministic(threads=1):
        for text in TEXTS:
            nats, confidence, tokens = by_hand(model, tokenizer, text, CONTEXT, stride or CONTEXT // 2)
            loss = nats / tokens
            bits = nats / math.log(2) / len(text.encode())
            wanted.append((loss, math.exp(loss), bits, confidence, tokens))
    assert max(tokens for *_, tokens in wanted) > 2 * CONTEXT
    for batch_size in (1, 16):
        said, _ = ask(job, folder, path, stride=stride, batch_size=batch_size)
        assert [one["row"] for one in said] == [0, 1, 2, 3, 4]
        for one, figures in zip(said, wanted, strict=True):
            assert [one[name] for name in (*NUMBERS, "tokens")] == pytest.approx(figures, rel=1e-4)


def test_the_rows_make_up_the_whole(causal, job, jsonl):
    """The evaluator of whole data sets, on the same rows."""
    path = jsonl("rows.jsonl", [{"text": text} for text in TEXTS])
    (whole,), _ = HuggingFacePerplexity(causal[0], path, threads=1).run(job)
    said, summary = ask(job, causal[0], path)
    assert summary["tokens"] == whole["tokens"]
    total = math.fsum(one["loss"] * one["tokens"] for one in said)
    assert total / whole["tokens"] == pytest.approx(whole["loss"], rel=1e-5)


def test_rows_keep_their_bytes(causal, job, tmp_path):
    lines = ['{"text":"a",  "n": 1.50}', '{ "x": "\\u00e4", "text" : "It is short."}\r', '{"text": ""}']
    (tmp_path / "rows.jsonl").write_bytes("\n".join(lines).encode())
    path, summary = HuggingFaceInferEvaluator(causal[0], str(tmp_path / "rows.jsonl"), threads=1).run(job)
    written = Path(path).read_bytes().split(b"\n")
    assert [line.rpartition(b', "__feedback__": ')[0] for line in written[:-1]] == [
        line.rstrip("\r").removesuffix("}").encode() for line in lines
    ]
    assert written[1].endswith(b"}}\r")
    empty = json.loads(written[2])["__feedback__"]
    assert empty == {"row": 2, "tokens": 0, **dict.fromkeys(NUMBERS)}
    assert (summary["rows"], summary["probed"], summary["unscored"]) == (3, 3, 1)


def test_long_texts_may_be_cut(causal, job, jsonl):
    folder, model, tokenizer = causal
    path = jsonl("rows.jsonl", [{"text": TEXTS[3]}, {"text": TEXTS[0]}])
    said, _ = ask(job, folder, path, max_tokens=10)
    with torch_env.deterministic(threads=1):
        nats, confidence, tokens = by_hand(model, tokenizer, TEXTS[3], CONTEXT, 1, 10)
    size = len(tokenizer.decode(tokenizer(TEXTS[3])["input_ids"][:10]))
    figures = (nats / tokens, nats / math.log(2) / size, confidence, 10)
    assert [said[0][name] for name in ("loss", "bits_per_byte", "confidence", "tokens")] == pytest.approx(
        figures, rel=1e-4
    )
    assert said[1]["tokens"] == 1


def test_a_sample_with_its_summary(causal, job, jsonl, quiet):
    path = jsonl("rows.jsonl", [{"text": f"text {number}", "kind": "ab"[number % 2]} for number in range(40)])
    said, summary = ask(job, causal[0], path, data_probe_ratio=0.25, data_probe_algo="stratified", strata_key="kind")
    numbers = [one["row"] for one in said]
    assert numbers == sorted(set(numbers))
    assert len([number for number in numbers if number % 2]) == 5
    assert (summary["rows"], summary["probed"]) == (40, 10)
    losses = sorted(one["loss"] for one in said)
    told = summary["loss"]
    assert (told["count"], told["min"], told["max"]) == (10, losses[0], losses[-1])
    assert told["mean"] == pytest.approx(sum(losses) / 10, rel=1e-5)
    assert told["50%"] == pytest.approx((losses[4] + losses[5]) / 2, rel=1e-5)
    assert quiet.values[-1][1] == summary
    whole, _ = ask(job, causal[0], path)
    for one in said:
        assert one["loss"] == pytest.approx(whole[one["row"]]["loss"], rel=1e-4)


def test_the_same_bytes_twice(causal, job, jsonl, tmp_path):
    path = jsonl("rows.jsonl", [{"text": text} for text in TEXTS * 3])
    made = []
    for name in ("one.jsonl", "two.jsonl"):
        file, _ = HuggingFaceInferEvaluator(causal[0], path, str(tmp_path / name), data_probe_ratio=0.5, threads=1).run(
            job
        )
        made.append(Path(file).read_bytes())
    assert made[0] == made[1]
    assert len(made[0].splitlines()) == 8


def test_a_classifier(classifier, job, jsonl):
    import torch

    folder, model, tokenizer = classifier(id2label={0: "bad", 1: "fair", 2: "good"}, label2id={"bad": 0})
    rows = [{"text": text, "label": ["bad", 1, "good"][place % 3]} for place, text in enumerate(TEXTS)]
    said, summary = ask(job, folder, jsonl("rows.jsonl", rows), label_key="label", batch_size=2)
    for one, row in zip(said, rows, strict=True):
        ids = tokenizer(row["text"], truncation=True, max_length=CONTEXT)["input_ids"]
        with torch.no_grad():
            chances = model(input_ids=torch.tensor([ids])).logits[0].double().softmax(-1).tolist()
        assert list(one["probabilities"].values()) == pytest.approx(chances, rel=1e-3, abs=1e-6)
        top = max(range(3), key=chances.__getitem__)
        assert (one["prediction"], one["tokens"]) == (["bad", "fair", "good"][top], len(ids))
        assert one["confidence"] == pytest.approx(chances[top], rel=1e-4)
        right = {"bad": 0, 1: 1, "good": 2}[row["label"]]
        assert one["loss"] == pytest.approx(-math.log(chances[right]), rel=1e-3, abs=1e-5)
    assert sum(summary["prediction"].values()) == 5
    assert summary["probabilities.good"]["count"] == 5
    with pytest.raises(JobError, match="'fine' at 'label' is not a label of the model"):
        ask(job, folder, jsonl("odd.jsonl", [{"text": "a", "label": "fine"}]), label_key="label")


def test_a_regression_gives_a_score(classifier, job, jsonl):
    import torch

    folder, model, tokenizer = classifier(num_labels=1)
    said, _ = ask(job, folder, jsonl("rows.jsonl", [{"text": text} for text in TEXTS]))
    with torch.no_grad():
        wanted = [
            float(model(input_ids=torch.tensor([tokenizer(text)["input_ids"][:CONTEXT]])).logits) for text in TEXTS
        ]
    assert [one["score"] for one in said] == pytest.approx(wanted, rel=1e-3)


def longer(rows, model, tokenizer, least=0):
    """A score of the user's own, that looks at the model too."""
    assert model.config.vocab_size == len(tokenizer)
    return [float(len(row["text"]) > least) if row["text"] else None for row in rows]


def several(rows, model, tokenizer):
    return [{"length": len(row["text"]), "kind": "text"} for row in rows]


def wrong(rows, model, tokenizer):
    return [1.0]


def test_a_function_of_ones_own(causal, job, jsonl, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    module = Path(__file__).stem
    path = jsonl("rows.jsonl", [{"text": text} for text in ["", *TEXTS]])
    said, summary = ask(job, causal[0], path, score_func=f"{module}.longer", func_kwargs={"least": 10})
    assert [one["score"] for one in said] == [None, 0.0, 0.0, 1.0, 1.0, 1.0]
    assert summary["unscored"] == 1
    said, summary = ask(job, causal[0], path, score_func=f"{module}.several")
    assert [one["length"] for one in said] == [len(text) for text in ["", *TEXTS]]
    assert summary["kind"] == {"text": 6}
    with pytest.raises(JobError, match="wrong returned 1 results for 6 rows"):
        ask(job, causal[0], path, score_func=f"{module}.wrong", export_path=str(job.folder / "none.jsonl"))
    assert not list(job.folder.glob("*none*"))  # no part of it is left
    with pytest.raises(ConfigError, match="takes no 'most'"):
        ask(job, causal[0], path, score_func=f"{module}.longer", func_kwargs={"most": 10})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data_probe_ratio": 0}, "data_probe_ratio is 0"),
        ({"data_probe_ratio": 1.5}, "data_probe_ratio is 1.5"),
        ({"data_probe_algo": "frequency"}, "frequency_key"),
        ({"data_probe_algo": "stratified", "frequency_key": "x"}, "data_probe_algo is stratified"),
        ({"strata_key": "x"}, "data_probe_algo is uniform"),
        ({"block_size": 1}, "no token to predict"),
        ({"block_size": 8, "stride": 8}, "not below"),
        ({"func_kwargs": {"a": 1}}, "without score_func"),
        ({"export_path": "folder"}, "is not a .jsonl file"),
    ],
)
def test_configs_that_make_no_sense(options, said):
    with pytest.raises(ConfigError) as caught:
        HuggingFaceInferEvaluator("model", "rows.jsonl", **options)
    assert said in str(caught.value)


def test_what_cannot_be_done_is_said(causal, job, jsonl):
    path = jsonl("rows.jsonl", [{"text": "x", "__feedback__": 1}])
    with pytest.raises(JobError, match="has '__feedback__' already"):
        ask(job, causal[0], path)
    assert ask(job, causal[0], path, feedback_field="second")[1]["probed"] == 1
    with pytest.raises(JobError, match=r"rows.jsonl:1: 'body' is missing"):
        ask(job, causal[0], path, text_key="body", feedback_field="f")
    with pytest.raises(JobError, match="would be part of the data set"):
        ask(job, causal[0], path, export_path=path)
    with pytest.raises(JobError, match="no rows in"):
        ask(job, causal[0], jsonl("none.jsonl", []))
    with pytest.raises(JobError, match="is neither a folder nor an available model on the hub"):
        ask(job, "nobody/nothing", jsonl("x.jsonl", [{"text": "x"}]))
    with pytest.raises(JobError, match="block_size 25 is more than the model's context of 24"):
        ask(job, causal[0], jsonl("x.jsonl", [{"text": "x"}]), block_size=25)


@pytest.mark.slow
def test_a_model_that_knows_english(smollm2, docstrings, job, jsonl):
    """Prose in its order is likelier than the same words in any other."""
    prose = [text for text in docstrings if 150 < len(text) < 600][:12]
    draw = random.Random(1)
    mixed = [" ".join(draw.sample(text.split(), len(text.split()))) for text in prose]
    said, summary = ask(job, smollm2, jsonl("rows.jsonl", [{"text": text} for text in prose + mixed]), batch_size=4)
    for sense, nonsense in zip(said[:12], said[12:], strict=True):
        assert sense["loss"] < nonsense["loss"]
        assert sense["bits_per_byte"] < nonsense["bits_per_byte"]
        assert sense["confidence"] > nonsense["confidence"]
    assert summary["loss"]["count"] == 24
