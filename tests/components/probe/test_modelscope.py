"""Models through modelscope's own doors. Its `datasets` is below 5, so this runs in an environment of its own:

python -m venv ms && ms/bin/pip install -e ".[modelscope]" pytest hypothesis
ms/bin/python -m pytest -m slow tests/components/probe
"""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import version
from pathlib import Path

import pytest

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.probe.huggingface import HuggingFaceInferEvaluator
from data_juicer_sandbox.components.probe.modelscope import ModelScopeInferEvaluator, feedback
from data_juicer_sandbox.errors import ConfigError, JobError

TEXTS = ["a", "def run(self): return 1", "words and more words, many of them. " * 4, "It is short."]
needs_modelscope = pytest.mark.skipif(importlib.util.find_spec("modelscope") is None, reason="needs modelscope")


def test_what_a_pipeline_says_becomes_plain_values():
    import numpy as np

    said = feedback({"labels": ["bad", "good"], "scores": [np.float32(0.25), np.float32(0.75)], "logits": [1.0, 2.0]})
    assert said == {"prediction": "good", "confidence": 0.75, "probabilities": {"bad": 0.25, "good": 0.75}}
    assert feedback({"text": "answer", "score": np.float64(0.5), "hidden": object()}) == {
        "text": "answer",
        "score": 0.5,
    }


def test_configs_that_make_no_sense():
    with pytest.raises(ConfigError, match="`pipeline` cannot be combined with"):
        ModelScopeInferEvaluator("m", "rows.jsonl", pipeline="text-classification", score_func="a.b")
    with pytest.raises(ConfigError, match="without pipeline"):
        ModelScopeInferEvaluator("m", "rows.jsonl", pipeline_params={"a": 1})


@pytest.mark.slow
@needs_modelscope
def test_a_local_folder_says_the_same_as_through_transformers(causal, classifier, job, jsonl):
    rows = jsonl("rows.jsonl", [{"text": text} for text in TEXTS])
    for folder in (causal[0], classifier(id2label={0: "bad", 1: "good"})[0]):
        plain, summary = HuggingFaceInferEvaluator(folder, rows, str(job.folder / "a.jsonl"), threads=1).run(job)
        asked, same = ModelScopeInferEvaluator(folder, rows, str(job.folder / "b.jsonl"), threads=1).run(job)
        assert Path(asked).read_bytes() == Path(plain).read_bytes()
        assert same == summary


@pytest.mark.slow
@needs_modelscope
def test_a_pipeline(job, jsonl, tmp_path):
    """A classifier of ModelScope's own kind, made here."""
    if int(version("transformers").split(".")[0]) > 4:
        pytest.skip("modelscope's own models do not run with transformers 5: pip install 'transformers<5'")
    import torch
    from modelscope.models.nlp.structbert import SbertConfig, SbertForSequenceClassification

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "text", "here", "words"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    torch.manual_seed(1)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = SbertConfig(vocab_size=len(words), max_position_embeddings=512, num_labels=2, **size)
    config.save_pretrained(tmp_path)
    model = SbertForSequenceClassification(config)
    for weights in model.parameters():
        weights.data *= 8
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    configuration = {
        "framework": "pytorch",
        "task": "text-classification",
        "model": {"type": "structbert"},
        "preprocessor": {"type": "sen-cls-tokenizer"},
        "pipeline": {"type": "text-classification"},
    }
    (tmp_path / "configuration.json").write_text(json.dumps(configuration))
    (tmp_path / "label_mapping.json").write_text(json.dumps({"bad": 0, "good": 1}))
    rows = jsonl("rows.jsonl", [{"text": text} for text in ("good text", "bad words here", "here")])
    evaluator = ModelScopeInferEvaluator(str(tmp_path), rows, pipeline="text-classification", batch_size=2, threads=1)
    path, summary = evaluator.run(job)
    said = [row["__feedback__"] for row in read_rows(path)]
    assert [one["row"] for one in said] == [0, 1, 2]
    assert all(one["prediction"] in ("bad", "good") for one in said)
    assert all(one["confidence"] == max(one["probabilities"].values()) >= 0.5 for one in said)
    assert len({one["confidence"] for one in said}) == 3
    assert sum(summary["prediction"].values()) == 3


@pytest.mark.slow
@needs_modelscope
def test_what_is_not_there(job, jsonl):
    rows = jsonl("rows.jsonl", [{"text": "a"}])
    with pytest.raises(JobError, match="is neither a folder nor an available model on the hub"):
        ModelScopeInferEvaluator("nobody/nothing", rows).run(job)
    with pytest.raises(JobError, match="ModelScope makes no 'text-classification' pipeline"):
        ModelScopeInferEvaluator("nobody/nothing", rows, pipeline="text-classification").run(job)
