"""Reads YAML and JSON files with the line of each value. All config files are read here."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from data_juicer_sandbox.config.json_source import NotJson, parse_json
from data_juicer_sandbox.config.limits import LARGE_KEY, MAX_BYTES, MAX_DEPTH, check_limits, path_problem
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.types import JsonValue, LibraryObject

KeyPath = tuple[str | int, ...]
"""The path to a value: keys of mappings, indexes of lists."""

_Base: LibraryObject = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_TAG = "tag:yaml.org,2002:"
_NO_VALUES = ("binary", "omap", "pairs", "set")


class ConfigLoader(_Base):
    """YAML 1.1 as PyYAML reads it, but `1e-4` is a number, as people and jsonargparse take it, and a date is a text.

    Dates are texts in JSON, in rows and on the command line, so an unquoted one is a text too, as it is written. What
    has a type that no config holds (sets, bytes, pairs) is an error with its line.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> LibraryObject:
        """A value. An invalid number or date (5,000 digits, month 13) is an error with its line."""
        type_name = node.tag.removeprefix(_TAG)
        if node.tag == f"{_TAG}{type_name}" and type_name in _NO_VALUES:
            raise self._fault(node, f"`!!{type_name}` is not a supported type")
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
            # PyYAML's own readers of `!!bool`, `!!int` and the like raise these for invalid texts.
            reason = (
                str(error)[:80] if isinstance(error, ValueError | OverflowError) else f"it is not a valid {type_name}"
            )
            raise self._fault(node, f"{node.value!r:.30} cannot be read as a value: {reason}") from error

    def construct_date(self, node: yaml.Node) -> str:
        """The text of a date, after a check that there is such a date."""
        self.construct_yaml_timestamp(node)
        return str(node.value)

    def _fault(self, node: yaml.Node, what: str) -> yaml.constructor.ConstructorError:
        return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


ConfigLoader.add_constructor(f"{_TAG}timestamp", ConfigLoader.construct_date)
ConfigLoader.add_constructor(f"{_TAG}value", ConfigLoader.construct_yaml_str)  # a plain `=`

ConfigLoader.yaml_implicit_resolvers = {key: list(pairs) for key, pairs in _Base.yaml_implicit_resolvers.items()}
for _first in "-+0123456789":
    ConfigLoader.yaml_implicit_resolvers.setdefault(_first, []).append(
        ("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"))
    )


_MAX_PARSED = 256
"""Config files that are kept after they were read. A job's config is read for validation, plan and run."""
_RECENT_NS = 1_000_000_000
"""Age below which a file is read again: two writes within one tick of the clock leave the same time."""


@dataclass(frozen=True)
class Source:
    """The content of a file, with line numbers.

    Args:
        file: the path as the user wrote it.
        value: its content.
        lines: the line of each key and list item, by its path.
    """

    file: str
    value: JsonValue
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def where(self, path: KeyPath = ()) -> Where:
        """File and line of a value, or of the nearest enclosing value with a line."""
        while path and path not in self.lines:
            path = path[:-1]
        return Where(self.file, self.lines.get(path, 1 if self.lines else None))


_parsed: dict[str, tuple[tuple[str, int, int, int, int, int], Source]] = {}


def read(path: str | Path) -> Source:
    """Read a YAML or JSON file. A file that has not changed since it was last read is not parsed again.

    The value is shared: callers must not change it.

    Raises:
        ConfigError: it does not exist, cannot be read, is not YAML, or has a duplicate key.
    """
    file = str(path)
    signature = _signature(file)
    cached = _parsed.get(file)
    if cached is not None and signature is not None and cached[0] == signature:
        return cached[1]
    source = parse(read_text(file), file)
    if signature is not None and signature == _signature(file):
        if len(_parsed) >= _MAX_PARSED:
            _parsed.clear()
        _parsed[file] = (signature, source)
    return source


def _signature(file: str) -> tuple[str, int, int, int, int, int] | None:
    """What changes when a file is written; None if the file changed so recently that a further change may not show."""
    try:
        status = os.stat(file)  # noqa: PTH116  # the value may be any text
    except (OSError, ValueError):
        return None
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    if not stat.S_ISREG(status.st_mode) or not time.time_ns() - changed - _RECENT_NS >= 0:
        return None
    # A relative path names another file in another current folder, which device and inode tell.
    return file, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_text(path: str) -> str:
    """The text of a regular file, or of a pipe that the shell made for `<(command)`.

    Raises:
        ConfigError: it does not exist, cannot be read, is too large, or is a folder, pipe or device.
    """
    where = Where(path)
    if reason := path_problem(path):
        raise ConfigError(f"cannot be read: {reason}", where=Where(path if len(path) < 300 else f"{path[:100]}..."))
    from_shell = path.startswith(("/dev/fd/", "/proc/self/fd/")) or path == "/dev/stdin"
    try:
        # Opening a pipe without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if from_shell else os.O_NONBLOCK))
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and (not from_shell or stat.S_ISDIR(mode)):
            os.close(descriptor)
            file_type = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
            raise ConfigError(f"expected a file, got {file_type}", where=where)
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=where) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=where) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES >> 20} MiB", where=where, hint="put large data in data files")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"cannot be read: {error}", where=Where(path, line)) from error


def parse(text: str, file: str) -> Source:
    """Like `read`, of a text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:  # a command line with bytes that are not UTF-8
        line = text.count("\n", 0, error.start) + 1
        raise ConfigError("the text contains half of a surrogate pair", where=Where(file, line)) from error
    if file.endswith(".json") or text.lstrip()[:1] in ("{", "["):
        try:
            value, lines = parse_json(text, file, MAX_DEPTH)
            return Source(file, value, lines)
        except NotJson as error:
            if file.endswith(".json") and text.strip():
                raise ConfigError(f"not valid JSON: {error}", where=Where(file, error.line)) from error
    check_limits(text, file)
    loader = ConfigLoader(text)
    try:
        node = loader.get_single_node()
        lines = {}
        if node is None:
            return Source(file, None, lines)
        _walk(loader, node, (), lines, file, ())
        return Source(file, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = Where(file, mark.line + 1 if mark else None)
        raise ConfigError(f"not valid YAML: {error.problem}", where=where, hint=error.context) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, max(0, text.find(chr(error.character)))) + 1  # `position` counts bytes
        raise ConfigError(f"not valid YAML: {error.reason} ({error.character:#x})", where=Where(file, line)) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=Where(file)) from error
    finally:
        loader.dispose()


def _walk(
    loader: LibraryObject, node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], file: str, above: tuple[int, ...]
) -> None:
    """Note the line of everything below a node; refuse YAML features that configs do not support."""
    lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in above:
        raise ConfigError("an anchor contains itself", where=Where(file, node.start_mark.line + 1))
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _walk(loader, child, (*path, index), lines, file, above)
    elif isinstance(node, yaml.MappingNode):
        key_lines: dict[object, int] = {}
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<: *anchor`: its keys have their lines at the anchor
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError("a key must be a plain word", where=Where(file, line))
            key = loader.construct_object(key_node)
            if isinstance(key, int) and abs(key) >= LARGE_KEY:
                what = "a key is an integer of more than 18 digits"
                raise ConfigError(what, where=Where(file, line), hint="quote it")
            if key in key_lines:
                raise ConfigError(f"duplicate key {key!r} (first on line {key_lines[key]})", where=Where(file, line))
            key_lines[key] = line
            lines[(*path, key)] = line
            _walk(loader, child, (*path, key), lines, file, above)
