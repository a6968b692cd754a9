"""Named functions that configs may choose: they build messages from a row, or parse an answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from data_juicer_sandbox.code_policy import check_user_code
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.plugins import import_object, plugins
from data_juicer_sandbox.types import ConfigValues, JsonValue

BUILTIN = {
    "build_messages": "data_juicer_sandbox.components.infer.messages:build_messages",
    "build_messages_for_math_qa": "data_juicer_sandbox.components.infer.messages:build_messages_for_math_qa",
    "parse_output": "data_juicer_sandbox.components.infer.messages:parse_output",
}


def helpers() -> dict[str, str]:
    """All helpers by name, those of plug-ins (`data_juicer_sandbox.helpers`) included, as `module:function`."""
    return {**plugins("helpers"), **BUILTIN}


def find_helper(name: str, func_kwargs: Mapping[str, JsonValue] | None = None) -> Callable[..., Any]:
    """Load a helper and bind its keyword arguments.

    Args:
        name: a registered name, or a dotted path such as `my_pkg.my_mod.my_function`.
        func_kwargs: keyword arguments for every call.

    Raises:
        ConfigError: the name is unknown (the hint suggests similar names), the object is not a function, or it does not
            accept these arguments.
    """
    if name not in BUILTIN:
        check_user_code(name)
    targets = BUILTIN if name in BUILTIN else helpers()
    if name in targets:
        target = targets[name]
    elif "." in name:
        target = name
    else:
        raise ConfigError(f"unknown helper {name!r}", hint=suggest(name, targets) + "; or a dotted path")
    function = import_object(target)
    if not callable(function):
        raise ConfigError(f"{target!r} is a {type(function).__name__}, not a function")
    return partial(function, **_checked_kwargs(name, function, func_kwargs)) if func_kwargs else function


def arguments(function: Callable[..., object]) -> tuple[list[str], bool]:
    """The names of a helper's keyword arguments, without the first parameter (the row or the text), and whether it has
    `**kwargs`.
    """
    parameters = inspect.signature(function).parameters.values()
    named = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return named[1:], any(p.kind is p.VAR_KEYWORD for p in parameters)


def _checked_kwargs(name: str, function: Callable[..., object], kwargs: Mapping[str, JsonValue]) -> ConfigValues:
    names, open_ended = arguments(function)
    for key in kwargs:
        if key not in names and not open_ended:
            raise ConfigError(f"{name} takes no {key!r}", hint=suggest(key, names, what="it takes"))
    return dict(kwargs)
