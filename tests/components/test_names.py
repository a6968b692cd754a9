from __future__ import annotations

import pytest

from data_juicer_sandbox.components.names import distinct_names, stem


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/wiki.jsonl", "wiki"),
        ("wiki.jsonl.gz", "wiki"),
        ("wiki.v2.jsonl.zst", "wiki.v2"),
        ("models/tiny_seed1", "tiny_seed1"),
        ("models/tiny/", "tiny"),
        (".jsonl", ".jsonl"),
    ],
)
def test_stems(path, name):
    assert stem(path) == name


def test_names_are_distinct():
    assert distinct_names(["a/x.jsonl", "b/y.jsonl"]) == ["x", "y"]
    assert distinct_names(["a/x.jsonl", "b/x.jsonl", "b/y.jsonl"]) == ["a_x", "b_x", "y"]
    assert distinct_names(["a/x.jsonl", "a/x.json", "a/x.csv"]) == ["a_x", "a_x-2", "a_x-3"]
    assert distinct_names(["c/a_x.jsonl", "a/x.jsonl", "b/x.jsonl"]) == ["a_x", "a_x-2", "b_x"]
