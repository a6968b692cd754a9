"""Streaming reader of a JSON list: the memory it needs depends on the largest entry, not on the file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from data_juicer_sandbox.errors import JobError, Where

_CHUNK = 1 << 20
_BLANK = re.compile(r"[ \t\r\n]*")
_TERMINATORS = tuple(",] \t\r\n")
"""Characters that may follow an entry."""
_TRUNCATION_MARGIN = 16
"""The JSON decoder reports a truncated literal, escape or number at most so many characters before the end."""
_BREAKS = str.maketrans("\r\n", "  ")


def list_lines(stream: BinaryIO, file: Path, chunk: int = _CHUNK) -> Iterator[tuple[int, bytes]]:
    """Yield the number (from 1) and the line of every entry of a list.

    An entry keeps its characters, except line breaks, which can only occur between values and become spaces.

    Args:
        stream: the file's bytes, from the start.
        file: the file's path, for errors.
        chunk: minimum number of characters per read; the buffer grows to the size of the largest entry.

    Raises:
        JobError: the file is not a JSON list, or is truncated; names the entry.
    """
    reader = _Reader(stream, file, chunk)
    reader.take("[")
    number = 0
    if reader.peek() == "]":
        reader.take("]")
    else:
        while True:
            number += 1
            yield number, reader.value(number).translate(_BREAKS).encode("utf-8", "surrogatepass") + b"\n"
            if reader.peek() == "]":
                reader.take("]")
                break
            reader.take(",", number)
    if reader.peek():
        raise JobError("unexpected text after the end of the list", where=Where(str(file)))


class _Reader:
    """A text buffer with a read position."""

    def __init__(self, stream: BinaryIO, file: Path, chunk: int):
        self._stream, self._file = io.TextIOWrapper(stream, encoding="utf-8-sig"), file
        self._chunk = chunk
        self._decoder = json.JSONDecoder()
        self._buffer, self._position, self._at_end = "", 0, False

    def peek(self) -> str:
        """The next character that is not whitespace; empty at the end of the file."""
        while True:
            self._position = _BLANK.match(self._buffer, self._position).end()  # type: ignore[union-attr]  # it also matches the empty string
            if self._position < len(self._buffer) or not self._read_more():
                return self._buffer[self._position : self._position + 1]

    def take(self, character: str, number: int = 0) -> None:
        """Skip a required character.

        Raises:
            JobError: another character follows.
        """
        if (actual := self.peek()) != character:
            what = repr(actual) if actual else "the end of the file"
            after = f"after entry {number}" if number else "at the start"
            raise JobError(
                f"invalid JSON list: expected {character!r} {after}, got {what}", where=Where(str(self._file))
            )
        self._position += 1

    def value(self, number: int) -> str:
        """The text of the next value."""
        self.peek()
        while True:
            try:
                _, end = self._decoder.raw_decode(self._buffer, self._position)
            except json.JSONDecodeError as error:
                if self._may_be_truncated(error) and self._read_more():
                    continue
                raise JobError(f"entry {number} is not valid JSON: {error}", where=Where(str(self._file))) from error
            except RecursionError:
                raise JobError(f"entry {number} is nested too deeply", where=Where(str(self._file))) from None
            if self._at_end or self._buffer[end : end + 1] in _TERMINATORS:
                start, self._position = self._position, end
                return self._buffer[start:end]
            self._read_more()  # a number such as `1` may continue

    def _may_be_truncated(self, error: json.JSONDecodeError) -> bool:
        """Whether an error may be due to a value that continues beyond the buffer: an open string, a partial token."""
        return error.msg.startswith("Unterminated") or error.pos > len(self._buffer) - _TRUNCATION_MARGIN

    def _read_more(self) -> bool:
        """Read more text; the buffer doubles, so that a long entry is decoded few times."""
        if self._at_end:
            return False
        self._buffer, self._position = self._buffer[self._position :], 0
        try:
            read = self._stream.read(max(self._chunk, len(self._buffer)))
        except UnicodeDecodeError as error:
            raise JobError(f"not UTF-8: {error}", where=Where(str(self._file))) from error
        self._buffer += read
        self._at_end = not read
        return bool(read)
