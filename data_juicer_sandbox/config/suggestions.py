"""Did-you-mean hints: the nearest valid name, and all valid names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 100
"""Names of more characters are not compared."""


def suggest(name: str, candidates: Iterable[str], *, what: str = "known") -> str:
    """`did you mean 'x'? known: a, b, x`, for the hint of an error."""
    names = sorted(candidates)
    near = difflib.get_close_matches(name, names, 1, 0.6) if len(name) <= _LONGEST else []
    listed = f"{what}: {', '.join(names)}" if names else f"{what}: none"
    return f"did you mean {near[0]!r}? {listed}" if near else listed
