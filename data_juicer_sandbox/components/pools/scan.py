"""Scan one chunk of a pool: offsets of its rows, invalid lines, and the result of a row scanner.

`Valid` checks that each line is a JSON object, `Keys` collects the names of fields.
"""

from __future__ import annotations

import codecs
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from data_juicer_sandbox.components.io.parse import BadRow, parse, parse_slowly

if TYPE_CHECKING:
    import numpy as np


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


CHUNK_BYTES = 8 << 20
"""Size of a chunk: a worker holds one chunk in memory at a time."""


@dataclass(frozen=True)
class Chunk:
    """A byte range of a JSON Lines file that holds whole lines."""

    file: Path
    start: int
    end: int


@dataclass
class Scan:
    """The result of scanning one chunk."""

    starts: np.ndarray
    """int64, the byte offset in the file at which each row starts."""
    lengths: np.ndarray
    """uint32, the size of each row in bytes, including its line end; int64 if a row has 4 GiB or more."""
    bad: list[tuple[int, str]]
    """Invalid lines: byte offset and reason."""
    result: Any
    """What the row scanner collected."""
    digest: bytes


def split_chunks(file: Path) -> list[Chunk]:
    """Split a file at line ends into chunks of about `CHUNK_BYTES` bytes; a longer line is a chunk of its own.

    An empty file gives one empty chunk.
    """
    chunks: list[Chunk] = []
    with file.open("rb") as stream:
        size, start = os.fstat(stream.fileno()).st_size, 0
        while start < size or not chunks:
            stream.seek(min(start + CHUNK_BYTES, size))
            stream.readline()
            chunks.append(Chunk(file, start, stream.tell()))
            start = stream.tell()
    return chunks


def scan(scanner_factory: Callable[[], RowScanner], chunk: Chunk) -> Scan:
    """Find the rows of a chunk and run a scanner over them.

    Args:
        scanner_factory: makes a new row scanner.
        chunk: the part of a file to read.
    """
    import numpy as np

    with chunk.file.open("rb", buffering=0) as stream:
        data = os.pread(stream.fileno(), chunk.end - chunk.start, chunk.start)
    ends = line_ends(data)
    starts = np.empty_like(ends)
    starts[1:] = ends[:-1]
    starts[:1] = len(codecs.BOM_UTF8) if not chunk.start and data.startswith(codecs.BOM_UTF8) else 0
    scanner = scanner_factory()
    if _is_text(data) and _is_regular(data, starts, ends) and scanner.update_batch(data, len(ends)):
        return _scan_of(chunk, starts, ends, [], scanner, data)
    # JSON readers skip strings that they do not need, so they would miss invalid UTF-8 there.
    update = scanner.update if _is_text(data) else partial(_update_text, scanner.update)
    bad: list[tuple[int, str]] = []
    skipped: list[int] = []
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        line = data[start:end]
        try:
            update(line)
        except BadRow as error:
            skipped.append(number)
            if line and not line.isspace():
                bad.append((chunk.start + start, str(error)))
    if skipped:
        starts, ends = np.delete(starts, skipped), np.delete(ends, skipped)
    return _scan_of(chunk, starts, ends, bad, scanner, data)


def _scan_of(
    chunk: Chunk, starts: np.ndarray, ends: np.ndarray, bad: list[tuple[int, str]], scanner: RowScanner, data: bytes
) -> Scan:
    import numpy as np

    lengths = ends - starts
    if not len(lengths) or int(lengths.max()) < 1 << 32:
        lengths = lengths.astype(np.uint32)
    return Scan(starts + chunk.start, lengths, bad, scanner.result(), xxhash.xxh3_128_digest(data))


def _is_regular(data: bytes, starts: np.ndarray, ends: np.ndarray) -> bool:
    """Whether every line has the form `{...}` and ends with a line break.

    No JSON value spans two such lines, since `{` cannot follow `}` within a value. If such data holds as many values as
    lines, each line is therefore one value.
    """
    import numpy as np

    characters = np.frombuffer(data, np.uint8)
    return (
        len(ends) > 0
        and data.endswith(b"\n")
        and bool((ends - starts > 2).all())
        and bool((characters[starts] == ord("{")).all() and (characters[ends - 2] == ord("}")).all())
    )


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _update_text(update: Callable[[bytes], None], line: bytes) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise BadRow(f"not a JSON row: {error}") from error
    update(line)


def line_ends(data: bytes) -> np.ndarray:
    """The offset behind each line's line break (int64); the last line may have no line break."""
    import numpy as np

    characters = np.frombuffer(data, np.uint8)
    block = 1 << 18  # a block and its mask fit into the processor's cache
    breaks = [np.flatnonzero(characters[at : at + block] == 10) + at + 1 for at in range(0, len(characters), block)]
    ends = np.concatenate(breaks) if breaks else np.empty(0, np.int64)
    return ends if not data or data.endswith(b"\n") else np.append(ends, len(data))
