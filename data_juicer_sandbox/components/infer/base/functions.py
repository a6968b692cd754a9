"""The two functions that a config chooses: what makes a prompt of a row, and what reads an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from data_juicer_sandbox.components.helpers import arguments, find_helper
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import shown

Function = Callable[..., Any]
BUILD, PARSE = "build_messages_func", "parse_output_func"


def bind(
    build: str, parse: str, func_kwargs: Mapping[str, Any] | None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both functions, their keyword arguments bound.

    Args:
        build: name or dotted path of the function that makes a prompt of a row.
        parse: name or dotted path of the function that reads a model's text.
        func_kwargs: arguments for both. Those under the key `build_messages_func` or `parse_output_func` (mappings)
            are for that one; any other goes to whichever of the two has an argument of its name, or else
            takes arguments of any name.

    Raises:
        ConfigError: there is no such function, or neither takes an argument.
    """
    names = {BUILD: build, PARSE: parse}
    given = dict(func_kwargs or {})
    own = {which: _own(which, given.pop(which, None)) for which in names}
    taken = {which: arguments(find_helper(name)) for which, name in names.items()}
    for key, value in given.items():
        takers = [which for which, (keys, _) in taken.items() if key in keys]
        takers = takers or [which for which, (_, open_ended) in taken.items() if open_ended]
        if not takers:
            known = {name for keys, _ in taken.values() for name in keys}
            what = f"neither {build} nor {parse} takes {key!r}"
            raise ConfigError(what, hint=suggest(str(key), known, what="they take"))
        for which in takers:
            own[which].setdefault(key, value)
    return find_helper(build, own[BUILD]), find_helper(parse, own[PARSE])


def _own(which: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"func_kwargs.{which} is a mapping of arguments, not {shown(value)}")
    return dict(value or {})
