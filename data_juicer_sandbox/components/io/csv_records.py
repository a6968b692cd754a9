"""The records of a CSV or TSV file: which lines are one row, and which rows are no table."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MAX_BYTES = 32 << 20
"""Maximum size of a row."""


@dataclass(frozen=True)
class Record:
    """A row of the table; the header is the first.

    Attributes:
        number: its first line in the file, from 1.
        data: its bytes, with the line break.
        problem: why it is not a row of the table; empty if it is one.
    """

    number: int
    data: bytes
    problem: str = ""


def records(lines: Iterator[bytes], delimiter: bytes) -> Iterator[Record]:
    """Split a file into rows; blank lines are skipped.

    A row with a quote that is never closed ends at its line break, so that the rows after it are found. A quote that
    opens in a line is closed in a later one only where a cell can end.

    Args:
        lines: the lines of the file.
        delimiter: what separates cells.
    """
    source = _Lines(lines)
    cells = 0
    for number, line in source:
        if line.isspace():
            continue
        data, problem = line, ""
        if b'"' in line and _ends_open(line, delimiter):
            rest = source.until_closed(line, delimiter)
            if rest is None:
                problem = "a quote is opened and never closed"
            else:
                data += rest
        if not problem:
            count = _cells(data, delimiter)
            cells = cells or count
            problem = _problem(data, count, cells)
        yield Record(number, data, problem)


def _problem(data: bytes, count: int, cells: int) -> str:
    if count != cells:
        return f"expected {cells} {'cell' if cells == 1 else 'cells'}, got {count}"
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return f"not UTF-8: {error}"
    return ""


class _Lines:
    """Numbered lines; lines that were read ahead can be put back."""

    def __init__(self, lines: Iterator[bytes]):
        self._lines = lines
        self._ahead: deque[bytes] = deque()
        self._number = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while (line := self._next()) is not None:
            self._number += 1
            yield self._number, line.removeprefix(codecs.BOM_UTF8) if self._number == 1 else line

    def until_closed(self, line: bytes, delimiter: bytes) -> bytes | None:
        """The lines up to the one that closes the quote; None, and no line is read, if none does."""
        read: list[bytes] = []
        size = len(line)
        while size < _MAX_BYTES and (more := self._next()) is not None:
            read.append(more)
            size += len(more)
            if b'"' in more and not _stays_open(more, delimiter):
                self._number += len(read)
                return b"".join(read)
        self._ahead.extendleft(reversed(read))
        return None

    def _next(self) -> bytes | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)


@cache
def _patterns(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    d = re.escape(delimiter)
    plain = rb"[^" + d + rb'"\r\n][^' + d + rb"\r\n]*"
    quoted = rb'"[^"]*(?:""[^"]*)*"(?!")[^' + d + rb"\r\n]*"
    cell = re.compile(rb"(?:" + quoted + rb"|" + plain + rb")?(?P<end>" + d + rb"|\r?\n|\r|\Z|(?P<open>\"))", re.DOTALL)
    closing = re.compile(rb'[^"]*(?:""[^"]*)*"(?:' + d + rb"|\r?\n|\r|\Z)", re.DOTALL)
    return cell, closing


def _cells(data: bytes, delimiter: bytes) -> int:
    if b'"' not in data:
        return data.count(delimiter) + 1
    cell = _patterns(delimiter)[0]
    count, position = 0, 0
    while True:
        match = cell.match(data, position)
        if match is None or match["open"]:
            return count + 1
        count += 1
        position = match.end()
        if match["end"] != delimiter:
            return count


def _ends_open(line: bytes, delimiter: bytes, start: int = 0) -> bool:
    """Whether the last cell of a line has a quote that the line does not close."""
    cell = _patterns(delimiter)[0]
    position = start
    while True:
        match = cell.match(line, position)
        if match is None or match["open"]:
            return True
        if match["end"] != delimiter:
            return False
        position = match.end()


def _stays_open(line: bytes, delimiter: bytes) -> bool:
    """Like `_ends_open`, for a line that begins inside a quoted cell."""
    match = _patterns(delimiter)[1].match(line)
    if match is None:
        return True
    return line[match.end() - 1 : match.end()] == delimiter and _ends_open(line, delimiter, match.end())


def source_lines(file: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed."""
    from data_juicer_sandbox.components.io.stream import open_bytes

    with open_bytes(file) as stream:
        yield from stream
