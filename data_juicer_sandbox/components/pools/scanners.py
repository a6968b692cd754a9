"""Per-row scanners: `Valid` checks that a line is a JSON object, `Keys` collects field names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from data_juicer_sandbox.components.io.parse import parse, parse_slowly


class RowScanner(ABC):
    """Collects data from the rows of one chunk of a pool, row by row."""

    @abstractmethod
    def update(self, line: bytes) -> None:
        """Process one row.

        Raises:
            BadRow: the line is not a JSON object, or lacks a required field; the scanner then keeps nothing of it.
        """

    def update_batch(self, data: bytes, rows: int) -> bool:
        """Process all rows of a chunk at once, where the scanner supports that; it is faster than `update` per row.

        Args:
            data: lines; no JSON value starts in one line and ends in another.
            rows: the number of lines.

        Returns:
            True if all rows were processed; if False, the scanner has kept nothing of them.
        """
        return False

    @abstractmethod
    def result(self) -> Any:
        """The collected data; per-row data has one entry for each row."""


class Valid(RowScanner):
    """Checks that each line is a JSON object; collects nothing."""

    def __init__(self) -> None:
        import msgspec

        # A type without fields: the decoder validates the whole row and builds no values.
        decoder = msgspec.json.Decoder(msgspec.defstruct("Row", [], gc=False))
        self._read, self._read_all = decoder.decode, decoder.decode_lines
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

    def update(self, line: bytes) -> None:
        """Check the row."""
        try:
            self._read(line)
        except self._refusals:
            parse_slowly(line)

    def update_batch(self, data: bytes, rows: int) -> bool:
        """Check the rows."""
        try:
            return len(self._read_all(data)) == rows
        except self._refusals:
            return False

    def result(self) -> None:
        """None."""


class Keys(RowScanner):
    """Collects the names of all top-level fields."""

    def __init__(self) -> None:
        import msgspec

        decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._read, self._read_all = decoder.decode, decoder.decode_lines
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
        self._keys: set[str] = set()

    def update(self, line: bytes) -> None:
        """Add the field names of the row."""
        try:
            self._keys.update(self._read(line))
        except self._refusals:
            self._keys.update(parse(line))

    def update_batch(self, data: bytes, rows: int) -> bool:
        """Add the field names of all rows."""
        try:
            rows_read = self._read_all(data)
        except self._refusals:
            return False
        if len(rows_read) == rows:
            self._keys.update(*rows_read)
        return len(rows_read) == rows

    def result(self) -> set[str]:
        """All field names."""
        return self._keys
