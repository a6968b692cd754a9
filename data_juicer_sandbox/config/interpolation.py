"""`${name}` in the strings of a config."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")


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
