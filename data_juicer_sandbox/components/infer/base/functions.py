"""The two functions that a config chooses: one builds the prompt of a row, one parses the model's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data_juicer_sandbox.components.helpers import arguments, find_helper
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import ConfigValues, JsonValue

BUILD, PARSE = "build_messages_func", "parse_output_func"


def bind(
    build: str, parse: str, func_kwargs: Mapping[str, JsonValue] | None
) -> tuple[Callable[..., object], Callable[..., object]]:
    """Load both functions and bind their keyword arguments.

    Args:
        build: name or dotted path of the function that builds a prompt from a row.
        parse: name or dotted path of the function that parses a model's text.
        func_kwargs: arguments of both. Those under the key `build_messages_func` or `parse_output_func` (mappings) are
            for that function; any other is passed to each function with a parameter of that name, else to each with
            `**kwargs`.

    Raises:
        ConfigError: a function does not exist, or neither function accepts an argument.
    """
    names = {BUILD: build, PARSE: parse}
    shared_kwargs = dict(func_kwargs or {})
    function_kwargs = {which: _function_kwargs(which, shared_kwargs.pop(which, None)) for which in names}
    accepted = {which: arguments(find_helper(name)) for which, name in names.items()}
    for key, value in shared_kwargs.items():
        receivers = [which for which, (keys, _) in accepted.items() if key in keys]
        receivers = receivers or [which for which, (_, open_ended) in accepted.items() if open_ended]
        if not receivers:
            argument_names = {name for keys, _ in accepted.values() for name in keys}
            message = f"neither {build} nor {parse} takes {key!r}"
            raise ConfigError(message, hint=suggest(str(key), argument_names, what="they take"))
        for which in receivers:
            function_kwargs[which].setdefault(key, value)
    return find_helper(build, function_kwargs[BUILD]), find_helper(parse, function_kwargs[PARSE])


def _function_kwargs(which: str, value: object) -> ConfigValues:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"func_kwargs.{which} must be a mapping of arguments, not {shown(value)}")
    return dict(value or {})
