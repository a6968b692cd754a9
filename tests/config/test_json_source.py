"""JSON configs: what `json.dumps` writes is read, with the line of each value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.errors import ConfigError

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


@given(st.dictionaries(texts, values), st.booleans(), st.sampled_from([None, 0, 2]))
def test_what_json_writes_is_read_as_it_was(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    for name in ("f.json", "f.yaml"):
        assert repr(parse(text, name).value) == repr(value)


def test_surrogate_pairs_and_long_keys():
    value = {"emoji 😀": "😀", "k" * 5000: [1], "nested": {"x" * 1025: "\U0001f600"}}
    assert parse(json.dumps(value), "f.json").value == value


def test_lines():
    source = parse('{\n "a": [1,\n  {"b":\n   2}],\n "c": null\n}', "f.json")
    paths = [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("c",)]
    assert [source.where(path).line for path in paths] == [1, 2, 2, 3, 3, 5]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"a": 1,\n "a": 2}', 2, "duplicate key 'a' (first on line 1)"),
        ('{"x": [\n"\\ud800"]}', 2, "half of a surrogate pair"),
        ('{"a": 1,\n}', 2, "a key is missing"),
        ('{"a": 1\n "b": 2}', 2, "',' is missing"),
        ('{"a": 1}\n]', 2, "extra data after the value"),
        ('{"a":\n nope}', 2, "a value is missing"),
        ('{"a": "x\ny"}', 1, "not valid JSON"),
        ('{"a": [1, ]}', 1, "a value is missing"),
        ("7" * 5000, 1, "integer of 5,000 digits"),
    ],
)
def test_faults_have_their_line(text, line, message):
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.json")
    assert (caught.value.where.file, caught.value.where.line) == ("f.json", line)
    assert message in str(caught.value)


def test_yaml_that_begins_like_json_is_read_as_yaml():
    assert parse("{a: 1, b: [x, 'y']}", "f.yaml").value == {"a": 1, "b": ["x", "y"]}
    assert parse("# a comment\n{}", "f.yaml").value == {}
