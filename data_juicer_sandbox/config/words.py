"""Small things said about names: what was probably meant, and what `${...}` stands for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")


def suggest(name: str, known: Iterable[str], *, what: str = "known") -> str:
    """`did you mean 'x'? known: a, b, x`, for the hint of an error."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, 0.6)
    listed = f"{what}: {', '.join(names)}" if names else f"{what}: none"
    return f"did you mean {near[0]!r}? {listed}" if near else listed


def escape(value: Any) -> Any:
    """A copy of `value` whose strings `fill` gives back as they are here: every `${...}` gets one more `$` in front."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: f"${match[0]}", value)
    if isinstance(value, Mapping):
        return {key: escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape(item) for item in value]
    return value


def fill(value: Any, variables: Mapping[str, str], unknown: Callable[[str], None]) -> Any:
    """A copy of `value` in which every `${name}` of every string stands replaced; `$${` gives a plain `${`.

    Args:
        value: any nesting of mappings, lists and scalars.
        variables: what the names stand for.
        unknown: told of each name that is none of them (which stays as it is).
    """
    if isinstance(value, str) and "${" in value:

        def replace(match: re.Match[str]) -> str:
            if match[1]:
                return match[0][1:]
            if match[2] not in variables:
                unknown(match[2])
                return match[0]
            return variables[match[2]]

        return _VARIABLE.sub(replace, value)
    if isinstance(value, Mapping):
        return {key: fill(item, variables, unknown) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, variables, unknown) for item in value]
    return value
