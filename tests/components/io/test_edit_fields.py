from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.components.io.edit_fields import edit_fields
from data_juicer_sandbox.components.io.parse import BadRow, parse

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
names = st.text(max_size=4) | st.sampled_from(["a", "b", "text", 'q"', "\\", "é", "\ud800"])
rows = st.dictionaries(names, values, max_size=5)


@given(
    rows, rows, st.sets(names, max_size=2), st.booleans(), st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", " :  ")])
)
@settings(max_examples=300)
def test_fields_are_set_and_removed_and_the_others_keep_their_bytes(row, new, removed, ascii_only, separators):
    removed -= new.keys()
    try:
        line = json.dumps(row, ensure_ascii=ascii_only, separators=separators).encode()
    except UnicodeEncodeError:
        line = json.dumps(row, separators=separators).encode()
    edited = edit_fields(line, new, removed)
    assert edited.endswith(b"\n")
    kept = {name: value for name, value in row.items() if name not in removed}
    assert parse(edited) == {**kept, **new}
    for name, value in kept.items():
        if name not in new:
            assert any(
                json.dumps(value, ensure_ascii=ascii_too, separators=separators).encode("utf-8", "surrogatepass")
                in edited
                for ascii_too in (True, False)
            )
    if not new and removed.isdisjoint(row):
        assert edited == line + b"\n"


@pytest.mark.parametrize(
    ("line", "new", "removed", "result"),
    [
        (b'{"a": 1.50, "b" : 1e5}\r\n', {"a": 2}, (), b'{"a": 2, "b" : 1e5}\r\n'),
        (b'{"a": 1.50,\t"b" : 1e5 }\n', {"b": "x"}, (), b'{"a": 1.50,\t"b" : "x" }\n'),
        (b'{"a": 1.50, "b": 1e5, "c": []}\n', {}, ("b",), b'{"a": 1.50, "c": []}\n'),
        (b'{"a": 1.50, "b": 1e5}\n', {}, ("a",), b'{"b": 1e5}\n'),
        (b'{"a": 1}\n', {}, ("a",), b"{}\n"),
        (b'{"a": 1}\n', {"b": 2}, ("a",), b'{"b": 2}\n'),
        (b'{"a": 1, "a": 2}\n', {"a": 3}, (), b'{"a": 3, "a": 3}\n'),
        (b'{"\\u0061": 1, "x": NaN}\n', {"a": 3}, (), b'{"\\u0061": 3, "x": NaN}\n'),
        (b'{"x": {"a": 1}}\n', {"a": 3}, (), b'{"x": {"a": 1}, "a": 3}\n'),
    ],
)
def test_examples(line, new, removed, result):
    assert edit_fields(line, new, removed) == result


def test_what_is_not_a_row():
    with pytest.raises(BadRow):
        edit_fields('{"a": 1}'.encode("utf-16"), {"a": 2})
