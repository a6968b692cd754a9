"""Models and tokenizers that do not fit each other: one clear error in every component that loads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.infer.huggingface import HuggingFaceInference
from data_juicer_sandbox.components.probe.huggingface import HuggingFaceInferEvaluator
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.components.train.sft import SupervisedTrainer
from data_juicer_sandbox.errors import JobError

torch = pytest.importorskip("torch", reason="needs the extra `train`")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, docstrings):
    """Folders of models: without a tokenizer, with too large a one, with NaN weights, with a tokenizer with [UNK]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from data_juicer_sandbox.components.train.methods import train_tokenizer

    root = tmp_path_factory.mktemp("models")
    shape = {"n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}
    tokenizer = train_tokenizer(docstrings[:50], 300)
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=300, **shape))
    for name in ("none", "nan", "unk"):
        model.save_pretrained(root / name)
    GPT2LMHeadModel(GPT2Config(vocab_size=100, **shape)).save_pretrained(root / "small")
    model.transformer.wte.weight.data[7, 3] = float("nan")
    model.save_pretrained(root / "nan")
    for name in ("small", "nan"):
        tokenizer.save_pretrained(root / name)
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(["one two three"] * 9, trainers.WordLevelTrainer(special_tokens=["<s>", "[UNK]"]))
    unk = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="<s>", unk_token="[UNK]")
    unk.save_pretrained(root / "unk")
    return root


COMPONENTS = {
    "perplexity": lambda model, data, out: HuggingFacePerplexity(model, data, threads=1),
    "probe": lambda model, data, out: HuggingFaceInferEvaluator(model, data, f"{out}/f.jsonl", threads=1),
    "infer": lambda model, data, out: HuggingFaceInference(
        model, data, out, sampling_params={"max_tokens": 2}, threads=1
    ),
    "huggingface": lambda model, data, out: HuggingFaceTrainer(
        data, out, method="full", model=model, max_steps=1, block_size=16, threads=1
    ),
    "trl_sft": lambda model, data, out: SupervisedTrainer(data, model, out, max_steps=1, max_length=16, threads=1),
}
FAULTS = {
    "none": "has no tokenizer: its vocabulary is empty",
    "small": r"the tokenizer gives the token \d+, but the model has only 100 embeddings",
    "nan": r"weights that are NaN or infinite: 1 of 4,800 in transformer.wte.weight",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_model_that_cannot_be_used_is_an_error_that_says_why(folders, job, jsonl, tmp_path, component, fault):
    if component == "trl_sft":
        pytest.importorskip("trl")
    text = "every known word, and more"
    rows = [{"text": text, "query": text, "prompt": text, "completion": text}]
    path = jsonl("d.jsonl", rows)
    with pytest.raises(JobError, match=FAULTS[fault]):
        COMPONENTS[component](str(folders / fault), path, str(tmp_path / "out")).run(job)


@pytest.mark.parametrize("component", ["perplexity", "probe", "huggingface"])
def test_a_tokenizer_that_does_not_know_characters_is_named_with_the_share(
    folders, job, jsonl, tmp_path, log, component
):
    path = jsonl("d.jsonl", [{"text": "one two three"}, {"text": "one 漢字 naïve"}])
    COMPONENTS[component](str(folders / "unk"), path, str(tmp_path / "out")).run(job)
    (warning,) = [line for line in log if "does not know" in line]
    assert ("25.00%" if component == "huggingface" else "33.33%") in warning  # an end-of-text token after each document


def test_a_byte_level_tokenizer_knows_all_characters(job, jsonl, tiny_corpus_model, log):
    path = jsonl("d.jsonl", [{"text": "漢字 naïve <|endoftext|>"}])
    HuggingFacePerplexity(tiny_corpus_model, path, threads=1).run(job)
    assert not any("does not know" in line for line in log)


@pytest.fixture
def tiny_corpus_model(folders, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = {"n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}
    shutil.copytree(folders / "small", tmp_path / "whole")
    GPT2LMHeadModel(GPT2Config(vocab_size=300, **shape)).save_pretrained(tmp_path / "whole")
    return str(tmp_path / "whole")


@pytest.mark.parametrize("component", ["perplexity", "probe", "huggingface"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [(r'"half \ud800 pair"', "'text' has half of a surrogate pair"), ("7", "'text' is int, not a string")],
)
def test_a_text_that_cannot_be_read_is_named_by_file_and_line(
    tiny_corpus_model, job, tmp_path, component, text, reason
):
    path = tmp_path / "d.jsonl"
    path.write_text(f'{{"text": "fine"}}\n\n{{"text": {text}}}\n')
    with pytest.raises(JobError, match=reason) as raised:
        COMPONENTS[component](tiny_corpus_model, str(path), str(tmp_path / "out")).run(job)
    assert (raised.value.where.file, raised.value.where.line) == (str(path), 3)


def test_a_prompt_that_cannot_be_read_fails_its_row(tiny_corpus_model, job, tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"query": "fine"}\n{"query": "half \\ud800 pair"}\n')
    out = COMPONENTS["infer"](tiny_corpus_model, str(path), str(tmp_path / "out")).run(job)
    first, second = (json.loads(line) for line in Path(out).read_text().splitlines())
    assert "infer_error" not in first
    assert second["infer_error"] == {
        "kind": "row",
        "message": "ValueError: the prompt has half of a surrogate pair, which UTF-8 cannot encode",
    }
