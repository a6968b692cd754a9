from __future__ import annotations

import json

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.components.lm.packing import IGNORED, Blocks, encode, packed, read_texts
from data_juicer_sandbox.components.train.methods import END, train_tokenizer
from data_juicer_sandbox.errors import JobError

pytest.importorskip("torch", reason="needs the extra `train`")


@pytest.fixture(scope="module")
def tokenizer(docstrings):
    return train_tokenizer(docstrings[:100], 400)


def test_a_tokenizer_gives_any_text_back(tokenizer, docstrings):
    for text in [*docstrings[100:120], "naïve 漢字 🙂\n\ttabs\r\n", "\x00\x7f"]:
        assert tokenizer.decode(encode(tokenizer, [text])[0]) == text
    assert len(tokenizer) == 400


def test_text_that_spells_a_special_token_is_text(tokenizer):
    ids = encode(tokenizer, [f"a {END} b"])[0]
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == f"a {END} b"


def test_documents_lie_end_to_end_with_an_end_token_after_each(tokenizer, jsonl, tmp_path):
    path = jsonl("a.jsonl", [{"text": "one"}, {"text": ""}, {"text": "two words"}])
    with packed(path, "text", tokenizer, tmp_path) as data:
        first, second = encode(tokenizer, ["one", "two words"])
        assert data.tokens.tolist() == [*first, tokenizer.eos_token_id, *second, tokenizer.eos_token_id]
        assert (data.rows, data.documents) == (3, 2)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["a.jsonl"]


def test_a_row_without_text_is_named(jsonl):
    path = jsonl("a.jsonl", [{"text": "fine"}, {"body": "not"}])
    with pytest.raises(JobError, match=r"a.jsonl:2: 'text' is missing .*its fields: body"):
        list(read_texts(path, "text"))
    with pytest.raises(JobError, match=r"b.jsonl:1: 'n' is int, not a string"):
        list(read_texts(jsonl("b.jsonl", [{"n": 1}]), "n"))


def test_data_without_any_text_is_an_error(tokenizer, jsonl, tmp_path):
    with (
        pytest.raises(JobError, match="no text"),
        packed(jsonl("a.jsonl", [{"text": ""}]), "text", tokenizer, tmp_path),
    ):
        pass


@given(length=st.integers(1, 60), block=st.integers(2, 20), budget=st.integers(1, 300), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_blocks_meet_the_budget_to_the_token(length, block, budget, seed):
    stream = numpy.arange(length, dtype=numpy.uint16)
    blocks = Blocks(stream, block, budget, seed)
    items = [blocks[index] for index in range(len(blocks))]
    assert sum(int((item["labels"] != IGNORED).sum()) for item in items) == budget
    for item in items:
        ids = item["input_ids"].numpy()
        assert len(ids) == block
        assert ((ids[1:] - ids[:-1]) % length == 1 % length).all()  # a piece of the ring


def test_every_pass_goes_over_nearly_all_tokens_once_in_another_order():
    stream = numpy.arange(1000, dtype=numpy.uint16)
    blocks = Blocks(stream, 30, 2 * 33 * 30, seed=1)
    passes = [[blocks[index]["input_ids"].tolist() for index in range(start, start + 33)] for start in (0, 33)]
    for one in passes:
        assert len({token for block in one for token in block}) == 33 * 30
    assert passes[0] != passes[1]
    assert json.dumps(passes[0]) == json.dumps([blocks[index]["input_ids"].tolist() for index in range(33)])
    assert Blocks(stream, 30, 990, seed=2)[0]["input_ids"].tolist() != passes[0][0]
