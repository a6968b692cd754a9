"""Answers on disk, each as soon as it is there: what an interrupted inference goes on from.

A file beside the one to be made. Its first line tells what the answers are for (a digest of settings and input), every
other line is one row's outcome, in the order they came:

    <row> <+ or -> <prompt tokens> <completion tokens> <new fields of the row as JSON>

A later outcome of a row takes the place of an earlier one. The line `retry` says that failures before it do not count.
A line that a killed process left half written is cut off when the file is opened again.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path

from loguru import logger

_LINE = re.compile(rb"(\d+) ([+-]) (\d+) (\d+) \{.*\}\n", re.DOTALL)
_RETRY = b"retry\n"
_FORM = b"answers 1 "


class Journal:
    """The outcomes so far of one data set. Holds 8 bytes of memory a row.

    Args:
        path: its file.
        digest: of all that decides the answers. A file with another one is begun again.
        rows: how many rows the data set has.
        retry_failed: forget the failures there are, so that their rows are asked again.

    Attributes:
        answered: rows with an answer.
        failed: rows marked as failed.
        kept: outcomes of earlier runs that were taken over.
        prompt_tokens: tokens read for all outcomes, earlier runs and later replaced ones included.
        completion_tokens: tokens written.
    """

    def __init__(self, path: Path, digest: str, rows: int, *, retry_failed: bool = False):
        self.path, self.rows = path, rows
        self.answered = self.failed = self.prompt_tokens = self.completion_tokens = 0
        self._places = array("q", [0]) * rows  # where a row's line begins; below zero for a failure, 0 for none
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a+b")
        self._end = 0
        self._take_over(_FORM + digest.encode() + b"\n")
        if retry_failed:
            self.forget_failures()
        self.kept = self.answered + self.failed

    def __len__(self) -> int:
        return self.answered + self.failed

    def has(self, number: int) -> bool:
        """Whether a row has its outcome."""
        return self._places[number] != 0

    def add(self, number: int, fields: bytes, *, failed: bool, prompt_tokens: int, completion_tokens: int) -> None:
        """Put down a row's outcome; it is in the file when this returns.

        Args:
            number: the row's.
            fields: its new fields, a JSON object on one line.
            failed: whether it is a failure.
            prompt_tokens: tokens read.
            completion_tokens: tokens written.
        """
        sign = b"-" if failed else b"+"
        line = b"%d %s %d %d %s\n" % (number, sign, prompt_tokens, completion_tokens, fields)
        self._stream.write(line)
        self._stream.flush()
        self._note(number, failed, prompt_tokens, completion_tokens, len(line))

    def forget_failures(self) -> None:
        """From now on the rows that failed have no outcome; when the file is opened again, neither."""
        if self.failed:
            self._stream.write(_RETRY)
            self._stream.flush()
            self._end += len(_RETRY)
            self._drop_failed()

    def fields(self, number: int) -> bytes:
        """The new fields of a row, as JSON. Fastest in the order of the file."""
        self._stream.seek(abs(self._places[number]))
        return self._stream.readline().rstrip(b"\n").split(b" ", 4)[4]

    def close(self) -> None:
        """Leave the file."""
        self._stream.close()

    def _take_over(self, head: bytes) -> None:
        self._stream.seek(0)
        first = self._stream.readline()
        self._end = len(first)
        if first != head:
            if first:
                logger.info("begun again: settings or data changed since {} was written", self.path)
            self._cut(0)
            self._stream.write(head)
            self._stream.flush()
            self._end = len(head)
            return
        for line in self._stream:
            if line == _RETRY:
                self._end += len(line)
                self._drop_failed()
                continue
            found = _LINE.fullmatch(line)
            if found is None or int(found[1]) >= self.rows:  # the end of a killed process, or of a power cut
                self._cut(self._end)
                break
            self._note(int(found[1]), found[2] == b"-", int(found[3]), int(found[4]), len(line))

    def _note(self, number: int, failed: bool, prompt_tokens: int, completion_tokens: int, length: int) -> None:
        before = self._places[number]
        self.failed += failed - (before < 0)
        self.answered += (not failed) - (before > 0)
        self._places[number] = -self._end if failed else self._end
        self._end += length
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    def _drop_failed(self) -> None:
        for number, place in enumerate(self._places):
            if place < 0:
                self._places[number] = 0
        self.failed = 0

    def _cut(self, length: int) -> None:
        self._stream.truncate(length)
        self._stream.seek(0, 2)
