"""Answers on disk, each as soon as it is there: what an interrupted inference goes on from.

A file beside the one to be made. Its first line names the form and what the answers are for (a digest of settings and
input), every other line is one row's outcome, in the order they came:

    <row> <+ or -> <prompt tokens> <completion tokens> <checksum> <new fields of the row as JSON>

The checksum is of the digest and all else in the line, so that a line that was damaged, or is of another file, is told.
Such a line is left out, and its row asked again. A file of the first form has no checksums: there a line counts if its
JSON is just what this program would have written.

An answer is final; a later outcome of a row takes the place of a failure. The line `retry` says that failures before it
do not count. A last line that a killed process left half written is cut off when the file is opened again.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import xxhash
from loguru import logger

from data_juicer_sandbox.components.io import parse
from data_juicer_sandbox.components.io.append_fields import to_json
from data_juicer_sandbox.components.io.parse import BadRow, parse_slowly
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import refuse_special

_LINE = re.compile(rb"(\d{1,18}) ([+-]) (\d{1,18}) (\d{1,18}) (?:([0-9a-f]{16}) )?(\{.*\})\n", re.DOTALL)
_RETRY = b"retry\n"
_FORM, _FIRST_FORM = b"answers 2 ", b"answers 1 "

Fits = Callable[[dict[str, Any], bool], bool]
"""Whether new fields are those of an outcome; the second argument says whether it is a failure."""


class _Outcome(NamedTuple):
    """What a line says."""

    row: int
    failed: bool
    prompt_tokens: int
    completion_tokens: int
    fields: bytes


class Journal:
    """The outcomes so far of one data set. Holds 8 bytes of memory a row.

    Args:
        path: its file.
        digest: of all that decides the answers. A file with another one is begun again.
        rows: how many rows the data set has.
        fits: looks at the new fields of outcomes of earlier runs; one that does not fit is asked for again.
        retry_failed: forget the failures there are, so that their rows are asked again.

    Attributes:
        answered: rows with an answer.
        failed: rows marked as failed.
        kept: outcomes of earlier runs that were taken over.
        prompt_tokens: tokens read for all outcomes, earlier runs and later replaced ones included.
        completion_tokens: tokens written.
        damaged: lines of earlier runs that were left out.
    """

    def __init__(self, path: Path, digest: str, rows: int, fits: Fits | None = None, *, retry_failed: bool = False):
        self.path, self.rows, self._digest, self._fits = path, rows, digest.encode(), fits
        self._checksums, self.damaged = True, 0
        self.answered = self.failed = self.prompt_tokens = self.completion_tokens = 0
        self._places = array("q", [0]) * rows  # where a row's line begins; below zero for a failure, 0 for none
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_special(path)
        self._stream = path.open("a+b")
        self._end = 0
        self._take_over()
        if self.damaged:
            logger.warning(
                "{}: {:,} damaged lines are left out; rows without an answer are asked again", path, self.damaged
            )
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
        start = b"%d %s %d %d " % (number, sign, prompt_tokens, completion_tokens)
        line = b"%s%s %s\n" % (start, self._checksum(start, fields), fields)
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
        """The new fields of a row, as JSON. Fastest in the order of the file.

        Raises:
            JobError: the file was changed since it was opened.
        """
        self._stream.seek(abs(self._places[number]))
        outcome = self._read(self._stream.readline())
        if outcome is None or outcome.row != number:
            raise JobError(
                f"the outcome of row {number + 1} in {self.path} was changed while the job ran",
                hint="run the job again: that row is asked again",
            )
        return outcome.fields

    def close(self) -> None:
        """Leave the file."""
        self._stream.close()

    def _take_over(self) -> None:
        self._stream.seek(0)
        first = self._stream.readline()
        head = _FORM + self._digest + b"\n"
        if first not in (head, _FIRST_FORM + self._digest + b"\n"):
            if first:
                logger.info("begun again: settings or data changed since {} was written", self.path)
            self._cut(0)
            self._stream.write(head)
            self._stream.flush()
            self._end = len(head)
            return
        self._checksums = first == head
        self._end = len(first)
        for line in self._stream:
            if not line.endswith(b"\n"):  # the end of a killed process, or of a power cut
                break
            outcome = None if line == _RETRY else self._read(line)
            if outcome is not None:
                self._note(*outcome[:-1], len(line))
                continue
            self.damaged += line != _RETRY
            if self.failed:
                self._drop_failed()  # a damaged line may have been this mark
            self._end += len(line)
        self._cut(self._end)

    def _read(self, line: bytes) -> _Outcome | None:
        """What a line says; None if it is damaged."""
        match = _LINE.fullmatch(line)
        if match is None or int(match[1]) >= self.rows:
            return None
        failed, checksum, fields = match[2] == b"-", match[5], match[6]
        try:
            row = parse(fields)
            if checksum is None:
                if self._checksums or to_json(parse_slowly(fields)) != fields:  # twice the same key, another spelling
                    return None
            elif checksum != self._checksum(line[: match.start(5)], fields):
                return None
        except (BadRow, RecursionError):
            return None
        if self._fits is not None and not self._fits(row, failed):
            return None
        return _Outcome(int(match[1]), failed, int(match[3]), int(match[4]), fields)

    def _checksum(self, start: bytes, fields: bytes) -> bytes:
        return xxhash.xxh3_64_hexdigest(b"%s %s%s" % (self._digest, start, fields)).encode()

    def _note(self, number: int, failed: bool, prompt_tokens: int, completion_tokens: int, length: int) -> None:
        before = self._places[number]
        if before > 0:  # an answer is final: this one was copied, or moved
            self._end += length
            return
        self.failed += failed - (before < 0)
        self.answered += not failed
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
