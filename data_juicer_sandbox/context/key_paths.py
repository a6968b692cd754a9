"""Nested get and set by dotted paths such as `paths.0` or `scores.val.loss`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_juicer_sandbox.errors import ResolveError


def get_path(value: Any, way: str) -> Any:
    """The part of a value at the end of a way such as `paths.0` or `scores.val.loss`.

    Keys that hold dots themselves are found too: the longest key that fits goes first.

    Raises:
        ResolveError: the way leads nowhere; names what there is at that point.
    """
    parts = way.split(".")
    while parts:
        if isinstance(value, Mapping):
            for size in range(len(parts), 0, -1):
                key = ".".join(parts[:size])
                if key in value:
                    value, parts = value[key], parts[size:]
                    break
            else:
                raise ResolveError(f"there is no {parts[0]!r}", hint="there are: " + ", ".join(map(str, value)))
        elif isinstance(value, (list, tuple)):
            value, parts = value[_index(parts[0], len(value))], parts[1:]
        else:
            raise ResolveError(f"{parts[0]!r} asks for a part of a {type(value).__name__}")
    return value


def set_path(config: Any, way: list[str], value: Any) -> Any:
    """A copy of `config` with `value` at the end of the way; mappings missing on it are made, and lists
    from their first item on.

    Only what lies on the way is copied.

    Raises:
        ResolveError: the way goes through a list by something that is no index of it, or through a scalar.
    """
    if not way:
        return value
    head, rest = way[0], way[1:]
    if config is None and head == "0":
        config = []  # `paths.0`, `paths.1` where nothing stands yet
    if isinstance(config, list) and head == str(len(config)):
        return [*config, set_path(None, rest, value)]
    if isinstance(config, list):
        index = _index(head, len(config))
        return [set_path(item, rest, value) if at == index else item for at, item in enumerate(config)]
    if config is None:
        config = {}
    if not isinstance(config, Mapping):
        raise ResolveError(f"{head!r} cannot be set in a {type(config).__name__}")
    for size in range(len(way), 1, -1):  # a key with dots that is there already
        if ".".join(way[:size]) in config:
            head, rest = ".".join(way[:size]), way[size:]
            break
    return {**config, head: set_path(config.get(head), rest, value)}


def _index(text: str, size: int) -> int:
    try:
        index = int(text)
    except ValueError as error:
        raise ResolveError(f"{text!r} is no index of a list of {size}") from error
    if not -size <= index < size:
        raise ResolveError(f"index {index} of a list of {size}")
    return index % size
