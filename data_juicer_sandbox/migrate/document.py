"""`Document`: a config file that is being migrated, with the changes and the lines that they concern."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from data_juicer_sandbox.config import yaml_source
from data_juicer_sandbox.config.dump import dump_config
from data_juicer_sandbox.config.yaml_source import KeyPath, Source
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.migrate.yaml_patch import Positions, commented, patched
from data_juicer_sandbox.secrets import remember_all, shown
from data_juicer_sandbox.types import ConfigValues, JsonValue


@dataclass(frozen=True)
class Change:
    """One change of a config, or one difference that no change can remove.

    Args:
        where: file and line in the old config.
        what: the change; for a warning, the difference.
        reason: why.
        warning: whether it is a difference, which is written into the new config as a comment.
    """

    where: Where
    what: str
    reason: str = ""
    warning: bool = False

    def __str__(self) -> str:
        text = f"{self.where}: {'warning: ' if self.warning else ''}{self.what}"
        text = f"{text} ({self.reason})" if self.reason else text
        # A key of the config may hold escape sequences for the terminal.
        return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


class Document:
    """A config file, changed in memory.

    Args:
        path: the file, which is only read.

    Raises:
        ConfigError: it cannot be read, or does not hold a mapping.
    """

    def __init__(self, path: str):
        self.text = yaml_source.read_text(path)
        self.source: Source = yaml_source.parse(self.text, path)
        self.is_json = path.endswith(".json")
        if not isinstance(self.source.value, dict):
            raise ConfigError("expected a mapping of keys", where=self.source.where())
        remember_all(self.source.value)
        self.value: ConfigValues = _copy(self.source.value)
        self.changes: list[Change] = []
        self._notes: dict[tuple[KeyPath, str], None] = {}
        self._old_positions = None if self.is_json else Positions(self.text)
        self._lines = dict(self.source.lines)

    @property
    def path(self) -> str:
        """The file."""
        return self.source.file

    @property
    def is_changed(self) -> bool:
        """Whether the new config differs from the old one."""
        return bool(self.changes)

    def where(self, path: KeyPath) -> Where:
        """File and line of a key, by its new path."""
        return Source(self.path, None, self._lines).where(path)

    def at(self, path: KeyPath) -> JsonValue:
        """The value at a path; None if there is none."""
        value: JsonValue = self.value
        for name in path:
            try:
                value = value[name]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def mapping(self, path: KeyPath) -> ConfigValues | None:
        """The mapping at a path; None if there is another value."""
        value = self.at(path)
        return value if isinstance(value, dict) else None

    def rename(self, path: KeyPath, key: str, new_key: str, reason: str) -> None:
        """Rename a key of the mapping at a path; it keeps its place."""
        values = self.mapping(path)
        if values is None or key not in values:
            return
        if new_key in values:
            self.drop(path, key, f"`{new_key}` is set, too")
            return
        self._record((*path, key), f"{_named(path, key)} is now `{new_key}`", reason)
        items = [(new_key if name == key else name, value) for name, value in values.items()]
        values.clear()
        values.update(items)
        self._lines[(*path, new_key)] = self.where((*path, key)).line or 1

    def set(self, path: KeyPath, key: str | int, value: JsonValue, reason: str, *, after: str | None = None) -> None:
        """Set or add a key of the mapping or list at a path; a new one at its end, or behind the key `after`."""
        container = self.at(path)
        is_new = isinstance(container, dict) and key not in container
        if not is_new:
            self._record(
                (*path, key), f"{_named(path, key)}: {_shown(container[key], key)} -> {_shown(value, key)}", reason
            )
        else:
            self._record(path, f"{_named(path, key)}: {_shown(value, key)} added", reason)
        container[key] = value
        if is_new and after in container:
            names = [name for name in container if name != key]
            names.insert(names.index(after) + 1, key)
            items = {name: container[name] for name in names}
            container.clear()
            container.update(items)

    def drop(self, path: KeyPath, key: str, reason: str) -> None:
        """Remove a key of the mapping at a path."""
        values = self.mapping(path)
        if values is not None and key in values:
            self._record((*path, key), f"{_named(path, key)} removed: {_shown(values[key], key)}", reason)
            del values[key]

    def note(self, path: KeyPath, text: str) -> None:
        """Note a difference that cannot be removed: a warning now, and a comment above the key."""
        is_present = self._old_positions is not None and self._old_positions.has_comment(path, text)
        if is_present or (path, text) in self._notes:
            return
        self._notes[path, text] = None
        self.changes.append(Change(self.where(path), text, warning=True))

    def texts(self) -> Iterator[tuple[KeyPath, str]]:
        """Every text in the config, with its path."""
        yield from _texts((), self.value)

    def render(self, *, as_json: bool = False) -> tuple[str, bool]:
        """The new content.

        Args:
            as_json: write JSON, which has no comments.

        Returns:
            the text, and whether the comments of the old one are kept.

        Raises:
            ConfigError: the new config cannot be written, for example because it is too large.
        """
        if as_json:
            import json

            return json.dumps(self.value, ensure_ascii=False, indent=2) + "\n", True
        if self.is_json:
            return commented(dump_config(self.value), self._notes), True
        text, complete = patched(self.text, self.source.value, self.value)
        return commented(text, self._notes), complete

    def _record(self, path: KeyPath, what: str, reason: str) -> None:
        self.changes.append(Change(self.where(path), what, reason))


def _named(path: KeyPath, key: object) -> str:
    """A key for a message: with the mapping that holds it, if that has a name."""
    return f"`{path[-1]}.{key}`" if path and isinstance(path[-1], str) else f"`{key}`"


def _shown(value: JsonValue, key: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shown(value, 200, str(key))


def _copy(value: JsonValue) -> JsonValue:
    """A copy in which nothing is shared: an alias is a value of its own."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _texts(path: KeyPath, value: JsonValue) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield from _texts((*path, key), item)
