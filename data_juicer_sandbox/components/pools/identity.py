"""Row identity: which rows are equal, by canonical content or by a key field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import xxhash

from data_juicer_sandbox.components.io.parse import MISSING, BadRow, get_nested, parse_slowly
from data_juicer_sandbox.components.pools.scan import RowScanner
from data_juicer_sandbox.types import JsonValue, Row

if TYPE_CHECKING:
    import numpy as np

    from data_juicer_sandbox.components.pools.pool import Pool

_CACHE_SIZE = 200_000
"""Lines whose digest a worker caches: pools that are compared often hold the same lines."""

_digest_cache: dict[bytes, bytes] = {}


class Identity(RowScanner):
    """A 128-bit XXH3 digest for every row; equal rows have equal digests.

    Key order, whitespace, string escapes and number formats do not matter: `1.0`, `1.00` and `1` are the same number,
    as in RFC 8785 (JSON Canonicalization Scheme). Numbers with a decimal point or an exponent are 64-bit floats.
    Integers beyond 2**53 are compared exactly, which goes beyond the RFC.

    Args:
        key: the field that identifies a row, with dots for nested fields; the whole content by default. A null value
            counts as missing.
    """

    def __init__(self, key: str | None = None):
        import msgspec

        self._key = key
        self._key_path = key.split(".") if key else []
        self._decode: Callable[[bytes], JsonValue] = msgspec.json.Decoder(float_hook=finite).decode
        self._encode = msgspec.json.Encoder(order="sorted").encode
        self._refusals = (msgspec.DecodeError, msgspec.EncodeError, RecursionError, UnicodeError)
        self._digests: list[bytes] = []

    def update(self, line: bytes) -> None:
        """Add the digest of the row."""
        if self._key is not None:
            self._digests.append(xxhash.xxh3_128_digest(self._canonical(line)))
            return
        line_digest = xxhash.xxh3_128_digest(line)
        digest = _digest_cache.get(line_digest)
        if digest is None:
            digest = xxhash.xxh3_128_digest(self._canonical(line))
            if len(_digest_cache) >= _CACHE_SIZE:
                _digest_cache.clear()
            _digest_cache[line_digest] = digest
        self._digests.append(digest)

    def result(self) -> np.ndarray:
        """The digests, uint64 of shape (rows, 2)."""
        import numpy as np

        return np.frombuffer(b"".join(self._digests), np.uint64).reshape(-1, 2)

    def _canonical(self, line: bytes) -> bytes:
        try:
            row = self._decode(line)
            if type(row) is dict:
                return self._encode(self._identifying_value(row))
        except self._refusals:
            pass
        value = self._identifying_value(parse_slowly(line, parse_float=number))
        try:
            text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        except RecursionError:
            raise BadRow("nested too deeply") from None
        return text.encode("utf-8", "surrogatepass")

    def _identifying_value(self, row: Row) -> JsonValue:
        if (value := get_nested(row, self._key_path)) is MISSING or value is None:
            raise BadRow(f"the row has no {self._key!r}")
        return value


def number(text: str) -> float | int:
    """Parse a number with a decimal point or an exponent; returns an int if the value is integral."""
    value = float(text)
    return int(value) if value.is_integer() else value


def finite(text: str) -> float | int:
    """Like `number`, but raises ValueError if a float overflows, since msgspec cannot encode infinity."""
    if math.isinf(value := number(text)):
        raise ValueError(text)
    return value


def group_ids(pools: Sequence[Pool]) -> list[np.ndarray]:
    """Number the distinct rows: equal rows get the same number, in all pools.

    Args:
        pools: scanned with `Identity`; their `scan_result` is set to None to free memory.

    Returns:
        For each pool, int64 of shape (rows,); over all pools the numbers are 0, 1, ... without gaps.
    """
    import numpy as np

    order, is_new = _sorted(pools)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(is_new) - 1
    return np.split(numbers, np.cumsum([len(pool) for pool in pools])[:-1])


def first_occurrences(pools: Sequence[Pool]) -> list[np.ndarray]:
    """For each pool, the ascending numbers of rows that have no equal row before them, in this or an earlier pool.

    Sets the pools' `scan_result` to None to free memory.
    """
    import numpy as np

    order, is_new = _sorted(pools)
    first = np.sort(order[is_new])  # the sort is stable: the first of equal rows comes first
    bounds = np.cumsum([0, *map(len, pools)])
    return [
        first[np.searchsorted(first, start) : np.searchsorted(first, end)] - start for start, end in pairwise(bounds)
    ]


def _sorted(pools: Sequence[Pool]) -> tuple[np.ndarray, np.ndarray]:
    """The order that sorts all rows by digest, and a mask of the positions at which a new digest begins."""
    import numpy as np

    digests = np.concatenate([pool.scan_result for pool in pools])
    for pool in pools:
        pool.scan_result = None
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    is_new = np.ones(len(digests), bool)
    is_new[1:] = False
    for half in (0, 1):  # one half after the other, since sorted copies of both need much memory
        ranked = digests[order, half]
        is_new[1:] |= ranked[1:] != ranked[:-1]
    return order, is_new
