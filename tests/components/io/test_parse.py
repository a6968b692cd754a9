from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.components.io.parse import BadRow, parse

ODD_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=20,
)


def same(one, other):
    """Equal in value and type, and in the sign of zero; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return one == other


@settings(deadline=None)
@given(st.dictionaries(ODD_TEXT, JSON, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_it_reads_what_pythons_own_reader_does(row, escaped, indent):
    text = json.dumps(row, ensure_ascii=escaped, indent=indent)
    line = text.encode("utf-8", "surrogatepass")
    assert same(parse(line), json.loads(line))
    assert same(parse(line + b"\r\n"), row)
    if escaped:
        assert same(parse(text), row)


@pytest.mark.parametrize(
    "written",
    [
        "NaN",
        "-Infinity",
        "Infinity",
        "1e400",
        "-1e400",
        "1e-400",
        "-0",
        "-0.0",
        "0.1",
        "1E5",
        "1.00",
        "123456789012345678901234567890",
        "-18446744073709551616",
        "9223372036854775808",
        "18446744073709551615",
        "3.141592653589793238462643383279",
        "2.2250738585072014e-308",
        "5e-324",
        "1" + "0" * 4000,
        r'"\ud800"',
        r'"\udc00\ud800"',
        r'"\ud83d\ude00"',
        r'"\u0000\/\b\f"',
        '{"a": 1, "a": 2}',
        "[1, [2, [3, {}]]]",
    ],
)
def test_odd_values(written):
    line = f'{{"x": {written}}}'
    assert same(parse(line), json.loads(line))
    assert same(parse(line.encode()), json.loads(line))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"[1]", "not a list"),
        (b"1", "not a number"),
        (b"-1.5", "not a number"),
        (b"NaN", "not a number"),
        (b'"a"', "not a string"),
        (b"true", "not a boolean"),
        (b"null", "not null"),
        (b"", "not a JSON row"),
        (b"{", "not a JSON row"),
        (b'{"a": 1', "not a JSON row"),
        (b'{"a": 1}}', "not a JSON row"),
        (b'{"a": 1} {"b": 2}', "not a JSON row"),
        (b'{"a": 1,}', "not a JSON row"),
        (b"{'a': 1}", "not a JSON row"),
        (b'{"a": 01}', "not a JSON row"),
        (b'{"a": .5}', "not a JSON row"),
        (b'{"a": nan}', "not a JSON row"),
        (b'{"a": "x\x01"}', "not a JSON row"),
        (b'{"a": "\\x"}', "not a JSON row"),
        (b'{"a": "\xff"}', "not a JSON row"),
        (b'{"a": "\xc3"}', "not a JSON row"),
        (b"\xff\xfe{\x00}\x00", "not a JSON row"),
        (b"{\x00}\x00", "not a JSON row"),
        (b"text", "not a JSON row"),
    ],
)
def test_what_is_no_row(line, why):
    with pytest.raises(BadRow, match=why):
        parse(line)


@pytest.mark.parametrize(("opening", "inner", "closing"), [("[", "", "]"), ('{"a":', "1", "}")])
@pytest.mark.parametrize("value", ["", "NaN,"])
def test_nested_too_deeply_is_told(opening, inner, closing, value):
    for depth in (5_000, 200_000):
        line = f'{{"n": [{value} {opening * depth}{inner}{closing * depth}]}}'
        with pytest.raises(BadRow, match="nested too deeply"):
            parse(line.encode())


def test_nested_deeply_is_fine():
    line = '{"a":' * 300 + "1" + "}" * 300
    assert same(parse(line), json.loads(line))


def test_more_digits_than_python_reads_are_told():
    with pytest.raises(BadRow, match="not a JSON row"):
        parse('{"x": ' + "1" * 5_000 + "}")
