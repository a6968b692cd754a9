"""What is looked for in every row while a pool is read: nothing but that it is a row, or the names of its fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from data_juicer_sandbox.components.io.parse import parse, parse_slowly


class RowScanner(ABC):
    """Sees the rows of a stretch of a pool, one after the other, and tells what it saw."""

    @abstractmethod
    def see(self, line: bytes) -> None:
        """Look at one row.

        Raises:
            BadRow: it is none, or lacks what is looked for; nothing of it is kept then.
        """

    def see_all(self, data: bytes, rows: int) -> bool:
        """Look at all rows of a stretch at once, which is quicker, if that can be done.

        Args:
            data: lines, none of which holds the end of one value and the start of another.
            rows: how many.

        Returns:
            whether it was done; if not, nothing of it is kept.
        """
        return False

    @abstractmethod
    def told(self) -> Any:
        """What was seen, one entry a row where there is one for every row."""


class Valid(RowScanner):
    """Nothing but that each line is a JSON object."""

    def __init__(self) -> None:
        import msgspec

        # A type without fields: the row is read through, and nothing is made of it.
        decoder = msgspec.json.Decoder(msgspec.defstruct("Row", [], gc=False))
        self._read, self._read_all = decoder.decode, decoder.decode_lines
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

    def see(self, line: bytes) -> None:
        """Check the row."""
        try:
            self._read(line)
        except self._refusals:
            parse_slowly(line)

    def see_all(self, data: bytes, rows: int) -> bool:
        """Check the rows."""
        try:
            return len(self._read_all(data)) == rows
        except self._refusals:
            return False

    def told(self) -> None:
        """Nothing."""


class Keys(RowScanner):
    """The names of all fields that rows have at their top."""

    def __init__(self) -> None:
        import msgspec

        decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._read, self._read_all = decoder.decode, decoder.decode_lines
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
        self._keys: set[str] = set()

    def see(self, line: bytes) -> None:
        """Take the names of the row's fields."""
        try:
            self._keys.update(self._read(line))
        except self._refusals:
            self._keys.update(parse(line))

    def see_all(self, data: bytes, rows: int) -> bool:
        """Take the names of all fields."""
        try:
            found = self._read_all(data)
        except self._refusals:
            return False
        if len(found) == rows:
            self._keys.update(*found)
        return len(found) == rows

    def told(self) -> set[str]:
        """All names."""
        return self._keys
