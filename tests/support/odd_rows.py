"""Rows as odd as JSON lines allow, and what they are to plain Python."""

from __future__ import annotations

import json
import math
import random
import sys
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

many = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.explain}
)
"""Of the tests that go through files."""
quick = settings(deadline=None)
"""Of the others: a busy machine is no fault."""
BOM = b"\xef\xbb\xbf"
STATS = "__dj__stats__"
NAMES = ("len", "a/b", "é")

WHOLE = (0, 1, 2, -3, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**16, 10**30, 10**300, 10**400 + 1)
BROKEN = (1.5, -0.0, 1.0, 2.0, 1e16, 2.0**53, 1e300, 5e-324, 0.1, math.nan, math.inf, -math.inf)
TEXTS = ("", "a", "é", "日本", "\u2028", "a\nb", '"\\', "\x7f\x00", "😀", "\x85", "1", "null")

whole = st.sampled_from(WHOLE)
texts = st.sampled_from(TEXTS)
leaves = st.sampled_from((*WHOLE, *BROKEN, *TEXTS, None, True, False)) | st.floats() | st.text(max_size=3)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=4
)
stat = (
    st.sampled_from((*WHOLE, *BROKEN, [1, 2], [1, math.nan], [], [True], [1.5, -2, 7], None, True, "1")) | st.floats()
)
stats = st.none() | st.just([1]) | st.dictionaries(st.sampled_from(NAMES), stat, max_size=3)


def nested(depth: int, value: Any) -> Any:
    """A value at the ground of so many lists and mappings."""
    for level in range(depth):
        value = {"k": value} if level % 7 == 3 else [value]
    return value


rows = st.fixed_dictionaries(
    {},
    optional={
        "id": whole,
        STATS: stats,
        "meta": values,
        "text": texts,
        "": leaves,
        "é": values,
        "deep": st.builds(nested, st.integers(100, 300), leaves),
    },
)
"""Rows; stats and meta are there or not."""


def spell(value: Any, way: int) -> str:
    """A value in one of the ways to write it."""
    if way % 4 or "deep" in value:  # mostly as a program would
        return json.dumps(value, ensure_ascii=way % 8 > 3, sort_keys=way % 16 > 7)
    chance = random.Random(way)
    blank = chance.choice(["", " ", "\t", " \r "])

    def write(value: Any) -> str:
        if isinstance(value, dict):
            items = chance.sample(sorted(value.items(), key=lambda item: item[0]), len(value))
            fields = f"{blank},".join(f"{blank}{write(key)}{blank}:{blank}{write(item)}" for key, item in items)
            return "{" + fields + blank + "}"
        if isinstance(value, list):
            return "[" + f",{blank}".join(map(write, value)) + "]"
        if isinstance(value, str):
            escaped = (f"\\u{ord(c):04X}" if c.isalpha() and ord(c) < 1 << 16 else json.dumps(c)[1:-1] for c in value)
            return '"' + "".join(escaped) + '"'
        if type(value) is int and abs(value) <= 2**53:
            return chance.choice([f"{value}", f"{value}.0", f"{value}.00", f"{value * 10}e-1", f"{value}E+0"])
        return json.dumps(value)

    return write(value)


@st.composite
def lines(draw: Any, of: Any = None, max_size: int = 8) -> list[bytes]:
    """Lines without line ends, some of which repeat others, in the same spelling or another."""
    made = draw(st.lists(rows if of is None else of, max_size=max_size))
    if made:
        made += draw(st.lists(st.sampled_from(made), max_size=3))
    return [spell(row, draw(st.integers(0, 255))).encode() for row in made]


@st.composite
def files(draw: Any, of: Any = None, max_size: int = 8) -> bytes:
    """A file of such lines: blank lines, CRLF, a byte order mark, a last line without end."""
    ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\r\n"])
    data = draw(st.sampled_from([b"", b"", BOM, b"\n"]))
    data += b"".join(line + draw(ends) for line in draw(lines(of, max_size)))
    return data.rstrip(b"\r\n") if draw(st.booleans()) else data


def split(data: bytes) -> list[bytes]:
    """The rows of a file, without the line break."""
    return [line for line in data.removeprefix(BOM).split(b"\n") if line.strip()]


def content(line: bytes) -> Any:
    """Something that is equal for rows that are the same."""
    return _hashable(json.loads(line))


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, float) and math.isnan(value):
        return "NaN", None
    return type(value).__name__ if isinstance(value, bool | None) else "", value


def number(line: bytes, name: str) -> float | None:
    """The stat of a row as a number, should it be one."""
    found = json.loads(line).get(STATS)
    value = found.get(name) if isinstance(found, dict) else None
    items = value if isinstance(value, list) else [value]
    if not all(item is None or type(item) in (int, float) for item in items):
        return None
    finite = [float(item) for item in items if item is not None and abs(item) <= sys.float_info.max]  # not NaN
    return math.fsum(finite) / len(finite) if finite else None
