"""Which rows are the same."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_rows import content, many, quick, rows, spell

from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.components.pools.identity import Identity, first_occurrences, group_ids
from data_juicer_sandbox.components.pools.pool import Pool


def tell(*lines: str | bytes, key: str | None = None) -> list[bytes]:
    look = Identity(key)
    for line in lines:
        look.update(line.encode() if isinstance(line, str) else line)
    return [row.tobytes() for row in look.result()]


def alike(one: str, two: str, key: str | None = None) -> bool:
    first, second = tell(one, two, key=key)
    return first == second


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('{"a":1.0,"b":2}', '{"b":2,"a":1.00}'),
        ('{"a":1.0,"b":2}', '{ "a" : 1, "b" : 2.0 }\r\n'),
        ('{"a":"é"}', '{"a":"\\u00e9"}'),
        ('{"a":"😀"}', '{"a":"\\ud83d\\uDE00"}'),
        ('{"é":1}', '{"\\u00e9":1}'),
        ('{"a":NaN,"b":1}', '{"b":1.0,"a":NaN}'),
        ('{"a":-0.0}', '{"a":0}'),
        ('{"a":1e2}', '{"a":100}'),
        ('{"a":1e16}', '{"a":10000000000000000}'),
        ('{"a":1e300}', '{"a":1' + "0" * 0 + "e+300}"),
        ('{"a":9007199254740992.0}', '{"a":9007199254740992}'),
        ('{"a":1e400}', '{"a":Infinity}'),
        ('{"a":0.1}', '{"a":1e-1}'),
        ('{"a":{"c":[1,{"y":1,"x":2}]}}', '{"a":{"c":[1.0,{"x":2,"y":1}]}}'),
        ('{"a":"\\ud800","b":1}', '{"b":1.0,"a":"\\uD800"}'),
    ],
)
def test_the_same_row(one, two):
    assert alike(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        ('{"a":1e400}', '{"a":null}'),
        ('{"a":NaN}', '{"a":null}'),
        ('{"a":NaN}', '{"a":"NaN"}'),
        ('{"a":Infinity}', '{"a":-Infinity}'),
        ('{"a":true}', '{"a":1}'),
        ('{"a":false}', '{"a":0}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":null}', "{}"),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":0.1}', '{"a":0.10000000000000002}'),
        ('{"a":"é"}', '{"a":"e\\u0301"}'),
        ('{"a":' + "9" * 400 + "}", '{"a":' + "9" * 399 + "8}"),
        ('{"a":" "}', '{"a":""}'),
    ],
)
def test_another_row(one, two):
    assert not alike(one, two)


@given(st.lists(st.tuples(rows, st.integers(0, 255)), min_size=2, max_size=6), st.data())
@many
def test_rows_are_the_same_where_plain_python_finds_them_equal(given_rows, data):
    lines = [spell(row, way).encode() for row, way in given_rows]
    lines += [spell(row, data.draw(st.integers(0, 255))).encode() for row, _ in given_rows]
    found, contents = tell(*lines), [content(line) for line in lines]
    for one, first in zip(found, contents, strict=True):
        for two, second in zip(found, contents, strict=True):
            assert (one == two) == (first == second)


def test_by_a_key():
    assert alike('{"m":{"id":[7]},"x":1}', '{"m":{"id":[7.0]},"x":2}', key="m.id.0")
    assert not alike('{"m":{"id":7}}', '{"m":{"id":"7"}}', key="m.id")
    assert alike('{"id":"a","x":NaN}', '{"x":1,"id":"\\u0061"}', key="id")
    for line in ('{"m":{}}', '{"m":3}', "{}", '{"m":{"id":null}}', '{"m.id":1}', '{"m":{"id":null},"x":NaN}'):
        with pytest.raises(BadRow, match=r"the row has no 'm.id'"):
            tell(line, key="m.id")


@pytest.mark.parametrize("line", ["[1]", "1", '"a"', "null", "{", '{"a":1}{', '{"a":\x01"}', b'{"a":"\xff"}', "nope"])
def test_what_is_no_row(line):
    with pytest.raises(BadRow):
        tell(line)


def test_what_is_nested_beyond_all_bounds_is_no_row():
    for depth in (*range(900, 1000, 7), 5_000, 200_000):
        for ground in ("1", "NaN"):
            line = '{"a":' + "[" * depth + ground + "]" * depth + "}"
            if depth < 1000:
                with suppress(BadRow):  # near the bound one or the other, but no other error
                    tell(line)
            else:
                with pytest.raises(BadRow, match="nested too deeply"):
                    tell(line)
    tell('{"a":' + "[" * 800 + "NaN" + "]" * 800 + "}")


def identities(rows):
    """Some of them alike in one half only."""
    return np.array([(row // 2, row) for row in rows], np.uint64).reshape(-1, 2)


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=4))
@quick
def test_numbers_and_firsts(pools):
    def told():
        return [
            Pool("p", "p", [], [0], np.arange(len(pool)), np.ones(len(pool)), identities(pool), "", set())
            for pool in pools
        ]

    numbers = group_ids(told())
    flat = [row for pool in pools for row in pool]
    found = [int(number) for pool in numbers for number in pool]
    assert [len(pool) for pool in numbers] == [len(pool) for pool in pools]
    assert len(set(zip(flat, found, strict=True))) == len(set(flat)) == len(set(found))
    assert set(found) == set(range(len(set(flat))))
    seen: set[int] = set()
    for pool, chosen in zip(pools, first_occurrences(told()), strict=True):
        expected = [at for at, row in enumerate(pool) if row not in seen and row not in pool[:at]]
        seen.update(pool)
        assert chosen.tolist() == expected
