"""Limits of a config text, checked on its events before anything is built from it.

An alias repeats the whole value of its anchor, so a text of 600 bytes may expand to gigabytes; and 50,000 nested
brackets crash the C library that builds the values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.types import LibraryObject

MAX_BYTES = 64 << 20
MAX_DEPTH = 100
"""Nesting levels of lists and mappings."""
MAX_VALUES = 300_000
"""Keys and values of one file."""
MAX_REPEATED = 100_000
"""Values that aliases and merge keys may add to those that are written."""
MAX_REPEATED_TEXT = 16 << 20
"""Characters that aliases may add to those that are written."""
MAX_DIGITS = 4_000
"""Of a number. Python reads integers of at most 4,300 decimal digits, and those of other bases in quadratic time."""
MAX_FILLED = 64 << 20
"""Characters that the variables of one config (`${name}`) may put into its texts."""
MAX_NAME = 200
"""Bytes of the name of a job or pipeline; each is the name of a folder, whose end may be added to."""
LARGE_KEY = (1 << 61) - 1
"""Integers below it have hashes of their own; from here on thousands can share one, and a mapping takes hours."""

_Base: LibraryObject = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Budget:
    """How many characters may still be filled in."""

    remaining: int = MAX_FILLED

    def spend(self, characters: int) -> None:
        """Fill in some.

        Raises:
            ConfigError: they are too many; without a place, which the caller knows.
        """
        self.remaining -= characters
        if self.remaining < 0:
            raise ConfigError(f"its variables expand to more than {MAX_FILLED >> 20} MiB of text")


@dataclass
class _Size:
    """The expanded size of a part of a text."""

    start: LibraryObject = None
    """The event that it starts with."""
    values: int = 1
    characters: int = 0
    closed: bool = False
    """Whether its end was read; an alias to an open value is a cycle."""


def check_limits(text: str, file: str) -> None:
    """Refuse a YAML text that is nested too deeply, or expands to too much. Other errors are found by the reader.

    Raises:
        ConfigError: it is; says on which line.
    """
    try:
        _Count(file).read(yaml.parse(text, Loader=_Base))
    except yaml.YAMLError:
        return


def path_problem(path: str) -> str | None:
    """Why a text cannot be a path on this system; None if it can."""
    if "\0" in path:
        return "it contains a zero byte, which a file name must not"
    if max(map(_bytes, path.split("/"))) > 255:
        return "a name in it is longer than 255 bytes"
    return "it is longer than 3,500 bytes" if _bytes(path) > 3_500 else None


def home_problem(path: str) -> str | None:
    """Why a path that begins with `~` is refused; None for any other. A shell expands `~`, a config does not."""
    if path != "~" and not path.startswith("~/"):
        return None
    return f"`~` is not expanded in a config; write {os.path.expanduser(path)!r}"  # noqa: PTH111


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


class _Count:
    """Counts the values that the events of a text expand to."""

    def __init__(self, file: str):
        self._file = file
        self._anchors: dict[str | None, _Size] = {}
        self._open: list[_Size] = []
        self._written = 0
        self._repeated = _Size(values=0)

    def read(self, events: Iterable[LibraryObject]) -> None:
        for event in events:
            if isinstance(event, yaml.CollectionEndEvent):
                size = self._open.pop()
                size.closed = True
                self._add(size)
            elif isinstance(event, yaml.NodeEvent):
                self._written += 1
                if self._written > MAX_VALUES:
                    raise self._refuse(event, f"more than {MAX_VALUES:,} values", "put large data in data files")
                if isinstance(event, yaml.AliasEvent):
                    self._add(self._alias(event))
                else:
                    self._node(event)

    def _node(self, event: LibraryObject) -> None:
        size = _Size(event)
        if event.anchor:
            self._anchors[event.anchor] = size
        if isinstance(event, yaml.ScalarEvent):
            if len(event.value) > MAX_DIGITS and _is_number(event):
                what = f"{event.value[:20]!r}... cannot be read as a value: a number of more than {MAX_DIGITS:,} digits"
                raise self._refuse(event, what, "quote it if it is a text")
            size.characters, size.closed = len(event.value), True
            self._add(size)
            return
        self._open.append(size)
        if len(self._open) > MAX_DEPTH:
            what = f"nested more than {MAX_DEPTH} levels deep"
            raise self._refuse(event, what, "check the brackets and the indentation")

    def _alias(self, event: LibraryObject) -> _Size:
        size = self._anchors.get(event.anchor, _Size(closed=True))  # the reader refuses one without an anchor
        if not size.closed:
            raise self._refuse(size.start, "an anchor contains itself")
        self._repeated.values += size.values
        self._repeated.characters += size.characters
        if self._repeated.values > MAX_REPEATED:
            what = f"aliases repeat more than {MAX_REPEATED:,} values"
            raise self._refuse(event, what, "write out what is needed")
        if self._repeated.characters > MAX_REPEATED_TEXT:
            what = f"aliases repeat more than {MAX_REPEATED_TEXT >> 20} MiB of text"
            raise self._refuse(event, what, "write out what is needed")
        return size

    def _add(self, size: _Size) -> None:
        if self._open:
            self._open[-1].values += size.values
            self._open[-1].characters += size.characters

    def _refuse(self, event: object, what: str, hint: str | None = None) -> ConfigError:
        return ConfigError(what, where=_event_position(event, self._file), hint=hint)


def _is_number(event: LibraryObject) -> bool:
    """Whether a scalar is to be read as a number: by its tag, or by its looks where it has neither tag nor quotes."""
    tags = [event.tag]
    if event.implicit[0]:
        tags += [tag for tag, form in _Base.yaml_implicit_resolvers.get(event.value[0], ()) if form.match(event.value)]
    return bool({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}.intersection(tags))


def _event_position(event: LibraryObject, file: str) -> Where:
    return Where(file, event.start_mark.line + 1 if event.start_mark else None)
