"""Named functions that configs may choose: what makes messages of a row, what reads an answer."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from data_juicer_sandbox.errors import ConfigError

GROUP = "data_juicer_sandbox.helpers"
"""The entry-point group of plug-ins' helpers."""

BUILTIN = {
    "build_messages": "data_juicer_sandbox.components.infer.messages:build_messages",
    "build_messages_for_math_qa": "data_juicer_sandbox.components.infer.messages:build_messages_for_math_qa",
    "parse_output": "data_juicer_sandbox.components.infer.messages:parse_output",
}


def helpers() -> dict[str, str]:
    """All helpers by name, those of plug-ins included, as `module:function`."""
    return {**{point.name: point.value for point in entry_points(group=GROUP)}, **BUILTIN}


def find_helper(name: str, func_kwargs: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A helper, its keyword arguments bound.

    Args:
        name: a known name, or a dotted path such as `my_pkg.my_mod.my_function`.
        func_kwargs: keyword arguments for every call.

    Raises:
        ConfigError: there is none of that name (says which there are, and the nearest), it is no function, or it
            does not take these arguments.
    """
    known = BUILTIN if name in BUILTIN else helpers()
    if name in known:
        target = known[name]
    elif "." in name:
        target = name
    else:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown helper {name!r}", hint=f"{hint}known: {', '.join(sorted(known))}; or a dotted path")
    function = _import(target)
    return partial(function, **_fitting(name, function, func_kwargs)) if func_kwargs else function


def _import(target: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":") if ":" in target else target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "package.module.function, on the Python path"
        raise ConfigError(f"cannot import the helper {target!r}: {error}", hint=hint) from error
    if not callable(found):
        raise ConfigError(f"{target!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


def _fitting(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)][
        1:
    ]  # the first is the row
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(given)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"{name} takes no {key!r}", hint=f"{hint}it takes: {', '.join(known) or 'nothing'}")
    return dict(given)
