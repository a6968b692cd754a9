"""How many tokens a row has."""

from __future__ import annotations

import json

import pytest

from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.components.pools.token_counts import TokenCounts


def count(*rows, text_key="text", token_key=None, tokenizer=None) -> list[int]:
    look = TokenCounts(text_key, token_key, tokenizer)
    for row in rows:
        look.update(row if isinstance(row, bytes) else json.dumps(row).encode())
    return look.result().tolist()


def test_words():
    assert count({"text": " a  b\nc "}, {"text": ""}, {"text": "日本 語"}) == [3, 0, 2]
    assert count({"m": [{"t": "a b"}]}, text_key="m.0.t") == [2]


def test_given_numbers():
    assert count({"m": {"n": 3}}, {"m": {"n": 4.0}}, {"m": {"n": 0}}, token_key="m.n") == [3, 4, 0]


@pytest.mark.parametrize("value", [-1, 1.5, True, None, "3", float("nan"), float("inf"), 10**30, [1]])
def test_what_is_no_number_of_tokens(value):
    with pytest.raises(BadRow, match="'n' holds no number of tokens"):
        count({"n": value}, token_key="n")


@pytest.mark.parametrize("row", [{}, {"text": 1}, {"text": None}, {"text": ["a"]}])
def test_what_is_no_text(row):
    with pytest.raises(BadRow, match="'text' holds no text"):
        count(row)


@pytest.mark.slow  # of its import
def test_a_tokenizer(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]").save_pretrained(tmp_path)
    assert count({"text": "abba"}, {"text": ""}, tokenizer=str(tmp_path)) == [4, 0]
