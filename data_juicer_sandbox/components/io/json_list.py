"""The entries of a JSON list, one at a time: a file of any size needs the memory of its largest entry."""

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
_BEHIND = tuple(",] \t\r\n")
"""What stands behind an entry."""
_CUT = 16
"""A word, an escape or a number that is cut off is reported at most so far from the end."""
_BREAKS = str.maketrans("\r\n", "  ")


def list_lines(stream: BinaryIO, file: Path, chunk: int = _CHUNK) -> Iterator[tuple[int, bytes]]:
    """The number (from 1) and the line of every entry of a list.

    An entry stays as it is written, but for its line breaks: they stand between values, and become blanks.

    Args:
        stream: the file's bytes, from the start.
        file: its name, for errors.
        chunk: characters read at a time, at least; as many as the largest entry has are held.

    Raises:
        JobError: it is no list, or cut off; names the entry.
    """
    text = _Text(stream, file, chunk)
    text.take("[")
    number = 0
    if text.peek() == "]":
        text.take("]")
    else:
        while True:
            number += 1
            yield number, text.value(number).translate(_BREAKS).encode("utf-8", "surrogatepass") + b"\n"
            if text.peek() == "]":
                text.take("]")
                break
            text.take(",", number)
    if text.peek():
        raise JobError("something follows the list's end", where=Where(str(file)))


class _Text:
    """What was read and not yet taken, and where we are in it."""

    def __init__(self, stream: BinaryIO, file: Path, chunk: int):
        self._stream, self._file = io.TextIOWrapper(stream, encoding="utf-8-sig"), file
        self._chunk = chunk
        self._decoder = json.JSONDecoder()
        self._held, self._at, self._ended = "", 0, False

    def peek(self) -> str:
        """The next sign that is no blank; empty at the end."""
        while True:
            self._at = _BLANK.match(self._held, self._at).end()  # type: ignore[union-attr]  # it matches nothing too
            if self._at < len(self._held) or not self._more():
                return self._held[self._at : self._at + 1]

    def take(self, sign: str, number: int = 0) -> None:
        """Go on behind a sign that must come next."""
        if (found := self.peek()) != sign:
            what = repr(found) if found else "the end of the file"
            after = f"after entry {number}" if number else "at the start"
            raise JobError(f"no JSON list: {sign!r} should stand {after}, not {what}", where=Where(str(self._file)))
        self._at += 1

    def value(self, number: int) -> str:
        """The next value as it is written."""
        self.peek()
        while True:
            try:
                _, end = self._decoder.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                if self._may_go_on(error) and self._more():
                    continue
                raise JobError(f"entry {number} is no JSON: {error}", where=Where(str(self._file))) from error
            except RecursionError:
                raise JobError(f"entry {number} is nested too deeply", where=Where(str(self._file))) from None
            if self._ended or self._held[end : end + 1] in _BEHIND:
                start, self._at = self._at, end
                return self._held[start:end]
            self._more()  # `1`, or `1.`, may go on

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether what is wrong may be right once more is read: a text without end, or a word or number cut off."""
        return error.msg.startswith("Unterminated") or error.pos > len(self._held) - _CUT

    def _more(self) -> bool:
        """Read on; as much again as is held, so that a long entry is not tried a thousand times."""
        if self._ended:
            return False
        self._held, self._at = self._held[self._at :], 0
        try:
            read = self._stream.read(max(self._chunk, len(self._held)))
        except UnicodeDecodeError as error:
            raise JobError(f"no UTF-8: {error}", where=Where(str(self._file))) from error
        self._held += read
        self._ended = not read
        return bool(read)
