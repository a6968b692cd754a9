"""Nested get and set by dotted paths such as `paths.0` or `scores.val.loss`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_juicer_sandbox.errors import ResolveError
from data_juicer_sandbox.types import LibraryObject


def get_path(value: object, path: str) -> LibraryObject:
    """The part of a value at a dotted path such as `paths.0` or `scores.val.loss`.

    Keys that contain dots are found too: the longest matching key is tried first.

    Raises:
        ResolveError: the path does not exist; the hint names the keys at that point.
    """
    parts = path.split(".")
    while parts:
        if isinstance(value, Mapping):
            for size in range(len(parts), 0, -1):
                key = ".".join(parts[:size])
                if key in value:
                    value, parts = value[key], parts[size:]
                    break
            else:
                raise ResolveError(f"no key {parts[0]!r}", hint="available: " + ", ".join(map(str, value)))
        elif isinstance(value, (list, tuple)):
            value, parts = value[_index(parts[0], len(value))], parts[1:]
        else:
            raise ResolveError(f"{parts[0]!r} cannot be read from a value of type {type(value).__name__}")
    return value


def set_path(config: object, path: Sequence[str], value: object) -> LibraryObject:
    """A copy of `config` with `value` at a path. Missing mappings are created, and lists from their first item on.

    Only the containers on the path are copied.

    Raises:
        ResolveError: the path goes through a scalar, or through a list by something that is not an index of it.
    """
    if not path:
        return value
    head, rest = path[0], path[1:]
    if config is None and head == "0":
        config = []  # `paths.0`, `paths.1` create a list
    if isinstance(config, list) and head == str(len(config)):
        return [*config, set_path(None, rest, value)]
    if isinstance(config, list):
        index = _index(head, len(config))
        return [set_path(item, rest, value) if position == index else item for position, item in enumerate(config)]
    if config is None:
        config = {}
    if not isinstance(config, Mapping):
        raise ResolveError(f"{head!r} cannot be set in a value of type {type(config).__name__}")
    for size in range(len(path), 1, -1):  # an existing key that contains dots
        if ".".join(path[:size]) in config:
            head, rest = ".".join(path[:size]), path[size:]
            break
    return {**config, head: set_path(config.get(head), rest, value)}


def _index(text: str, size: int) -> int:
    try:
        index = int(text)
    except ValueError as error:
        raise ResolveError(f"{text!r} is not an index of a list of {size}") from error
    if not -size <= index < size:
        raise ResolveError(f"index {index} is out of range for a list of {size}")
    return index % size
