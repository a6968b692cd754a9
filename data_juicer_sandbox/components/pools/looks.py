"""What is looked for in every row while a pool is read: nothing but that it is a row, or the names of its fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from data_juicer_sandbox.components.rows.parse import parse, parse_slowly


class Look(ABC):
    """Sees the rows of a stretch of a pool, one after the other, and tells what it saw."""

    @abstractmethod
    def see(self, line: bytes) -> None:
        """Look at one row.

        Raises:
            BadRow: it is none, or lacks what is looked for; nothing of it is kept then.
        """

    @abstractmethod
    def told(self) -> Any:
        """What was seen, one entry a row where there is one for every row."""


class Valid(Look):
    """Nothing but that each line is a JSON object."""

    def __init__(self) -> None:
        import msgspec

        # A type without fields: the row is read through, and nothing is made of it.
        self._read = msgspec.json.Decoder(msgspec.defstruct("Row", [])).decode
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

    def see(self, line: bytes) -> None:
        """Check the row."""
        try:
            self._read(line)
        except self._refusals:
            parse_slowly(line)

    def told(self) -> None:
        """Nothing."""


class Keys(Look):
    """The names of all fields that rows have at their top."""

    def __init__(self) -> None:
        import msgspec

        self._read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
        self._keys: set[str] = set()

    def see(self, line: bytes) -> None:
        """Take the names of the row's fields."""
        try:
            self._keys.update(self._read(line))
        except self._refusals:
            self._keys.update(parse(line))

    def told(self) -> set[str]:
        """All names."""
        return self._keys
