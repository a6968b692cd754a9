"""`${name}` in the strings of a config."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from data_juicer_sandbox.config.limits import Budget
from data_juicer_sandbox.types import JsonValue

_VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")


def escape(value: object) -> JsonValue:
    """A copy of `value` whose strings `fill` gives back as they are here: every `${...}` gets one more `$` in front."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: f"${match[0]}", value)
    if isinstance(value, Mapping):
        return {key: escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape(item) for item in value]
    return value


def find_variable(value: object, name: str) -> tuple[str | int, ...]:
    """The key path of the first string in a value that contains `${name}`, for the line in an error.

    Args:
        value: any nesting of mappings, lists and scalars.
        name: the name of the variable.
    """
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        unknown: list[str] = []
        fill(item, {}, unknown.append)
        if name in unknown:
            return (key, *find_variable(item, name))
    return ()


def fill(
    value: object, variables: Mapping[str, str], unknown: Callable[[str], None], budget: Budget | None = None
) -> JsonValue:
    """A copy of `value` in which every `${name}` of every string is replaced; `$${` gives a literal `${`.

    Args:
        value: any nesting of mappings, lists and scalars.
        variables: values by name.
        unknown: called with each unknown name, which is not replaced.
        budget: limit on the inserted text; several calls can share one.

    Raises:
        ConfigError: the limit is exceeded.
    """
    budget = budget or Budget()
    if isinstance(value, str) and "${" in value:

        def replace(match: re.Match[str]) -> str:
            if match[1]:
                return match[0][1:]
            if match[2] not in variables:
                unknown(match[2])
                return match[0]
            budget.spend(len(variables[match[2]]))
            return variables[match[2]]

        return _VARIABLE.sub(replace, value)
    if isinstance(value, Mapping):
        return {key: fill(item, variables, unknown, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, variables, unknown, budget) for item in value]
    return value
