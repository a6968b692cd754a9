"""Refuse keys that were made to have the same hash: a dict or set of them takes time that grows with their square.

Python hashes texts and bytes with a random key, but integers, tuples, frozensets and complex numbers with none. Small
integers differ in their hashes. Of the other kinds, honest data has a handful of equal hashes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

MAX_EQUAL_HASHES = 100
"""Maximum number of different keys with the same hash in one container."""
_MODULUS = sys.hash_info.modulus
_CRAFTABLE = (tuple, frozenset, complex)

Counts = dict[int, tuple[object, int]]
"""Hash -> the first key that had it, and how many others had it."""


def refuse_collisions(keys: Iterable[Any], counts: Counts) -> None:
    """Count the hashes of keys before they go into a dict or set.

    Args:
        keys: the keys.
        counts: what was counted for the same container before; updated.

    Raises:
        ValueError: too many different keys have the same hash.
        TypeError: a key cannot be hashed.
    """
    for key in keys:
        key_type = type(key)
        if key_type not in _CRAFTABLE and not (key_type is int and abs(key) >= _MODULUS):
            continue
        hashed = hash(key)
        first, others = counts.get(hashed, (key, 0))
        if first != key:
            others += 1
        if others > MAX_EQUAL_HASHES:
            raise ValueError("too many keys have the same hash")
        counts[hashed] = (first, others)
