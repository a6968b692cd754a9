"""Which rows are the same: by their content, or by a field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import xxhash

from data_juicer_sandbox.components.io.get_nested import MISSING, get_nested
from data_juicer_sandbox.components.io.parse import BadRow, parse_slowly
from data_juicer_sandbox.components.pools.scanners import RowScanner

if TYPE_CHECKING:
    import numpy as np

    from data_juicer_sandbox.components.pools.pool import Pool

_REMEMBERED = 200_000
"""Lines whose content a worker remembers: pools that are compared hold the same lines."""

_remembered: dict[bytes, bytes] = {}


class Identity(RowScanner):
    """A 128-bit XXH3 for every row, the same for rows that are the same.

    Content is the same whatever the order of keys, blanks, escapes in texts, and the spelling of numbers: `1.0`, `1.00`
    and `1` are one number, as RFC 8785 (JSON Canonicalization Scheme) has it. What is written with a point or an
    exponent is a 64-bit float; whole numbers beyond 2**53 that are not are told apart to their last digit, which the
    RFC does not ask for.

    Args:
        key: the field that tells rows apart, dots go deeper; the whole content by default. One that is null tells
            nothing, as if it were missing.
    """

    def __init__(self, key: str | None = None):
        import msgspec

        self._key = key
        self._way = key.split(".") if key else []
        self._read: Callable[[bytes], Any] = msgspec.json.Decoder(float_hook=finite).decode
        self._write = msgspec.json.Encoder(order="sorted").encode
        self._refusals = (msgspec.DecodeError, msgspec.EncodeError, RecursionError, UnicodeError)
        self._found: list[bytes] = []

    def see(self, line: bytes) -> None:
        """Take the row's identity."""
        if self._key is not None:
            self._found.append(xxhash.xxh3_128_digest(self._canonical(line)))
            return
        line_digest = xxhash.xxh3_128_digest(line)
        found = _remembered.get(line_digest)
        if found is None:
            found = xxhash.xxh3_128_digest(self._canonical(line))
            if len(_remembered) >= _REMEMBERED:
                _remembered.clear()
            _remembered[line_digest] = found
        self._found.append(found)

    def told(self) -> np.ndarray:
        """The identities, uint64 of shape (rows, 2)."""
        import numpy as np

        return np.frombuffer(b"".join(self._found), np.uint64).reshape(-1, 2)

    def _canonical(self, line: bytes) -> bytes:
        try:
            row = self._read(line)
            if type(row) is dict:
                return self._write(self._of(row))
        except self._refusals:
            pass
        value = self._of(parse_slowly(line, parse_float=number))
        try:
            text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        except RecursionError:
            raise BadRow("nested too deeply") from None
        return text.encode("utf-8", "surrogatepass")

    def _of(self, row: dict[str, Any]) -> Any:
        if (value := get_nested(row, self._way)) is MISSING or value is None:
            raise BadRow(f"the row has no {self._key!r}")
        return value


def number(text: str) -> float | int:
    """A number that is written with a point or an exponent, as a whole one where it is one."""
    value = float(text)
    return int(value) if value.is_integer() else value


def finite(text: str) -> float | int:
    """As `number`; refuses what no float can hold, for which the quick writer has no spelling."""
    if math.isinf(value := number(text)):
        raise ValueError(text)
    return value


def same(pools: Sequence[Pool]) -> list[np.ndarray]:
    """Short numbers for rows: those that are the same, in whichever pool, get the same one.

    Args:
        pools: read with `Identity`; what it told is let go.

    Returns:
        For each pool, int64 of shape (rows,); in all they are 0, 1, ... without gaps.
    """
    import numpy as np

    order, new = _sorted(pools)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(new) - 1
    return np.split(numbers, np.cumsum([len(pool) for pool in pools])[:-1])


def first_of_each(pools: Sequence[Pool]) -> list[np.ndarray]:
    """For each pool, which of its rows are the first of their kind in all pools, rising; what looks told is let go."""
    import numpy as np

    order, new = _sorted(pools)
    first = np.sort(order[new])  # the sort is stable, so of the same rows the first one leads
    bounds = np.cumsum([0, *map(len, pools)])
    return [
        first[np.searchsorted(first, start) : np.searchsorted(first, end)] - start for start, end in pairwise(bounds)
    ]


def _sorted(pools: Sequence[Pool]) -> tuple[np.ndarray, np.ndarray]:
    """All rows of all pools in the order of their identities, and at which of them a new one begins."""
    import numpy as np

    every = np.concatenate([pool.told for pool in pools])
    for pool in pools:
        pool.told = None
    order = np.lexsort((every[:, 1], every[:, 0]))
    new = np.ones(len(every), bool)
    new[1:] = False
    for half in (0, 1):  # one after the other: sorted copies of both are large
        ranked = every[order, half]
        new[1:] |= ranked[1:] != ranked[:-1]
    return order, new
