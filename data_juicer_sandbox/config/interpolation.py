"""`${name}` in the strings of a config."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from copy import deepcopy

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.config.limits import Budget
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import remember_environment
from data_juicer_sandbox.types import JsonValue, LibraryObject, Variables

ENVIRONMENT = "env:"
"""What the name of an environment variable begins with, in `${env:NAME}`."""
_VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")
_MISSING: LibraryObject = object()


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
        if mentions(item, name):
            return (key, *find_variable(item, name))
    return ()


def fill(
    value: object, variables: Variables, unknown: Callable[[str], None], budget: Budget | None = None
) -> JsonValue:
    """A copy of `value` in which every `${name}` of every string is replaced; `$${` gives a literal `${`.

    A string that is one variable and nothing else becomes the variable's value, of any type; within a text, the value
    is written as YAML has it (`true`, `0.5`). `${env:NAME}` is a variable of the environment, always a text;
    `${env:NAME:-default}` has a default, which also replaces an empty one.

    Args:
        value: any nesting of mappings, lists and scalars.
        variables: values by name.
        unknown: called with each unknown name, which is not replaced.
        budget: limit on the inserted text; several calls can share one.

    Raises:
        ConfigError: the limit is exceeded, or a list or mapping is inserted into a text.
    """
    budget = budget or Budget()
    if isinstance(value, str) and "${" in value:
        whole = _VARIABLE.fullmatch(value)
        if whole and not whole[1]:
            single = _look_up(whole[2], variables)
            if single is not _MISSING and not isinstance(single, str):
                budget.spend(len(repr(single)))
                return deepcopy(single)

        def replace(match: re.Match[str]) -> str:
            if match[1]:
                return match[0][1:]
            inserted = _look_up(match[2], variables)
            if inserted is _MISSING:
                unknown(match[2])
                return match[0]
            text = _as_text(match[0], inserted)
            budget.spend(len(text))
            return text

        return _VARIABLE.sub(replace, value)
    if isinstance(value, Mapping):
        return {key: fill(item, variables, unknown, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, variables, unknown, budget) for item in value]
    return value


def unknown_variable(name: str, variables: Variables) -> tuple[str, str]:
    """Message and hint of the error for an unknown variable.

    Args:
        name: as `fill` passes it to `unknown`.
        variables: the known ones.
    """
    if name.startswith(ENVIRONMENT):
        variable = name.removeprefix(ENVIRONMENT)
        if is_untrusted():
            hint = "variables of the environment may hold keys, which a config could copy into its outputs"
            return f"refused by --untrusted: ${{{name}}}", hint
        if re.fullmatch(r"\w+", variable):
            hint = f"set it, or give a default: ${{{ENVIRONMENT}{variable}:-default}}; write $${{ for a literal ${{"
            return f"the environment variable {variable} is not set", hint
        return f"{variable!r} is not the name of an environment variable", f"${{{ENVIRONMENT}NAME}}"
    return f"unknown variable ${{{name}}}", suggest(name, variables) + "; write $${ for a literal ${"


def mentions(value: object, name: str) -> bool:
    """Whether a string in a value contains `${name}`.

    Args:
        value: any nesting of mappings, lists and scalars.
        name: the name of the variable.
    """
    if isinstance(value, str):
        return any(match[2] == name and not match[1] for match in _VARIABLE.finditer(value))
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(mentions(item, name) for item in items)


def _look_up(name: str, variables: Variables) -> JsonValue:
    if not name.startswith(ENVIRONMENT):
        return variables.get(name, _MISSING)
    if is_untrusted():
        return _MISSING
    variable, has_default, default = name.removeprefix(ENVIRONMENT).partition(":-")
    value = os.environ.get(variable, _MISSING)
    if has_default and value in ("", _MISSING):
        return default
    if isinstance(value, str):
        remember_environment()  # a key by any way into a config is masked
        if value.encode(errors="replace").decode() != value:
            raise ConfigError(f"the environment variable {variable} is not UTF-8")
    return value


def _as_text(variable: str, value: JsonValue) -> str:
    """A value within a text."""
    if isinstance(value, (list, dict)):
        what = f"{variable} is a {'list' if isinstance(value, list) else 'mapping'}, which a text cannot contain"
        raise ConfigError(what, hint=f"{variable} alone as the whole value")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
