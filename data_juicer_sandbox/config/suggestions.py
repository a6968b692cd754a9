"""Did-you-mean hints: the nearest valid name, and all valid names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_LISTED, _MAX_COMPARED = 30, 5_000
"""Names in a hint, and names that are compared for it, by `nearest_names`."""
_LONGEST = 100
"""Names of more characters are not compared."""


def suggest(name: str, candidates: Iterable[str], *, what: str = "known") -> str:
    """`did you mean 'x'? known: a, b, x`, for the hint of an error."""
    names = sorted(candidates)
    near = nearest(name, names)
    listed = f"{what}: {', '.join(names)}" if names else f"{what}: none"
    return listed if near is None else f"did you mean {near!r}? {listed}"


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that is most similar to a name; None if none is similar."""
    near = difflib.get_close_matches(name, sorted(candidates), 1, 0.6) if len(name) <= _LONGEST else []
    return near[0] if near else None


def nearest_names(name: str, candidates: Iterable[str], *, what: str = "known") -> str:
    """As `suggest`, but lists the nearest names only, for names of which there may be thousands."""
    names = list(dict.fromkeys(candidates))
    if len(names) <= _MAX_LISTED:
        return suggest(name, names, what=what)
    matcher = difflib.SequenceMatcher(b=name[:_LONGEST])
    ratios = {}
    for candidate in names[:_MAX_COMPARED]:
        matcher.set_seq1(candidate[:_LONGEST])
        ratios[candidate] = matcher.ratio()
    best = sorted(ratios, key=lambda candidate: -ratios[candidate])[:_MAX_LISTED]
    return f"{suggest(name, best, what=what)}, and {len(names) - len(best)} more"
