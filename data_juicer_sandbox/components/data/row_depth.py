"""The nesting depth of a row: Arrow crashes the process on rows that are nested too deeply."""

from __future__ import annotations

import re

MAX_DEPTH = 500
"""Maximum nesting depth of lists and objects. Arrow supports a few thousand levels, fewer in threads."""
_SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)


def depth(line: bytes) -> int:
    """The nesting depth of the lists and objects of a line; brackets inside strings do not count."""
    deepest = current = 0
    for match in _SIGNS.finditer(line):
        sign = match[0]
        if sign in (b"[", b"{"):
            current += 1
            deepest = max(deepest, current)
        elif sign in (b"]", b"}"):
            current -= 1
    return deepest
