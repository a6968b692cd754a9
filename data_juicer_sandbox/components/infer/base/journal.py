"""Journal of results on disk, from which an interrupted inference resumes.

The journal is a file beside the output file. Its first line has the format version and a digest of settings and input;
every other line is the result of one row, in order of arrival:

    <row> <+ or -> <prompt tokens> <completion tokens> <checksum> <new fields of the row as JSON>

The checksum covers the digest and the rest of the line, so that damaged lines and lines of other files are detected.
Such a line is ignored, and its request is repeated. Files of format 1 have no checksums: a line is valid if its JSON is
exactly what this program would write.

An answer is final; a later result of a row replaces a failure. The line `retry` cancels all failures before it. An
incomplete last line of a killed process is removed when the file is opened again.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import xxhash
from loguru import logger

from data_juicer_sandbox.components.io import parse
from data_juicer_sandbox.components.io.parse import BadRow, parse_slowly, to_json
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import refuse_special
from data_juicer_sandbox.types import Row

_LINE = re.compile(rb"(\d{1,18}) ([+-]) (\d{1,18}) (\d{1,18}) (?:([0-9a-f]{16}) )?(\{.*\})\n", re.DOTALL)
_RETRY = b"retry\n"
_FORM, _FIRST_FORM = b"answers 2 ", b"answers 1 "

Fits = Callable[[Row, bool], bool]
"""Checks the new fields of a result; the second argument is whether it is a failure."""


class _Result(NamedTuple):
    """The content of a line."""

    row: int
    failed: bool
    prompt_tokens: int
    completion_tokens: int
    fields: bytes


class Journal:
    """The results of one data set. Uses 8 bytes of memory per row.

    Args:
        path: the journal's file.
        digest: digest of everything that determines the answers. A file with another digest is overwritten.
        rows: number of rows of the data set.
        fits: checks the new fields of results of earlier runs; invalid results are repeated.
        retry_failed: discard the failures of earlier runs, so that their requests are repeated.

    Attributes:
        answered: number of rows with an answer.
        failed: number of failed rows.
        kept: number of results reused from earlier runs.
        prompt_tokens: prompt tokens of all results, including earlier runs and replaced failures.
        completion_tokens: completion tokens of all results.
        damaged: number of lines of earlier runs that were ignored.
    """

    def __init__(self, path: Path, digest: str, rows: int, fits: Fits | None = None, *, retry_failed: bool = False):
        self.path, self.rows, self._digest, self._fits = path, rows, digest.encode(), fits
        self._checksums, self.damaged = True, 0
        self.answered = self.failed = self.prompt_tokens = self.completion_tokens = 0
        self._offsets = array("q", [0]) * rows  # of each row's line; negative for a failure, 0 without a result
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_special(path)
        self._stream = path.open("a+b")
        self._end = 0
        self._load()
        if self.damaged:
            logger.warning(
                "{}: {:,} damaged lines are ignored; requests without a result are repeated", path, self.damaged
            )
        if retry_failed:
            self.forget_failures()
        self.kept = self.answered + self.failed

    def __len__(self) -> int:
        return self.answered + self.failed

    def has(self, number: int) -> bool:
        """Whether a row has a result."""
        return self._offsets[number] != 0

    def add(self, number: int, fields: bytes, *, failed: bool, prompt_tokens: int, completion_tokens: int) -> None:
        """OnResult down a row's result; it is in the file when this returns.

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
        """Discard all failures, also for later runs."""
        if self.failed:
            self._stream.write(_RETRY)
            self._stream.flush()
            self._end += len(_RETRY)
            self._drop_failed()

    def fields(self, number: int) -> bytes:
        """The new fields of a row, as JSON. Reading rows in the order of the file is fastest.

        Raises:
            JobError: the file was changed since it was opened.
        """
        self._stream.seek(abs(self._offsets[number]))
        result = self._read(self._stream.readline())
        if result is None or result.row != number:
            raise JobError(
                f"the result of row {number + 1} in {self.path} was changed while the job ran",
                hint="run the job again; it repeats that request",
            )
        return result.fields

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _load(self) -> None:
        """Read the results of earlier runs, or start a new file."""
        self._stream.seek(0)
        first = self._stream.readline()
        head = _FORM + self._digest + b"\n"
        if first not in (head, _FIRST_FORM + self._digest + b"\n"):
            if first:
                logger.info("{} is overwritten: settings or data have changed", self.path)
            self._cut(0)
            self._stream.write(head)
            self._stream.flush()
            self._end = len(head)
            return
        self._checksums = first == head
        self._end = len(first)
        for line in self._stream:
            if not line.endswith(b"\n"):  # incomplete: the process was killed, or the power failed
                break
            result = None if line == _RETRY else self._read(line)
            if result is not None:
                self._note(*result[:-1], len(line))
                continue
            self.damaged += line != _RETRY
            if self.failed:
                self._drop_failed()  # the damaged line may have been a retry line
            self._end += len(line)
        self._cut(self._end)

    def _read(self, line: bytes) -> _Result | None:
        """Parse a line; returns None if it is damaged."""
        match = _LINE.fullmatch(line)
        if match is None or int(match[1]) >= self.rows:
            return None
        failed, checksum, fields = match[2] == b"-", match[5], match[6]
        try:
            row = parse(fields)
            if checksum is None:
                if self._checksums or to_json(parse_slowly(fields)) != fields:  # a repeated key, or other formatting
                    return None
            elif checksum != self._checksum(line[: match.start(5)], fields):
                return None
        except (BadRow, RecursionError):
            return None
        if self._fits is not None and not self._fits(row, failed):
            return None
        return _Result(int(match[1]), failed, int(match[3]), int(match[4]), fields)

    def _checksum(self, start: bytes, fields: bytes) -> bytes:
        return xxhash.xxh3_64_hexdigest(b"%s %s%s" % (self._digest, start, fields)).encode()

    def _note(self, number: int, failed: bool, prompt_tokens: int, completion_tokens: int, length: int) -> None:
        previous = self._offsets[number]
        if previous > 0:  # an answer is final: this line is a copy
            self._end += length
            return
        self.failed += failed - (previous < 0)
        self.answered += not failed
        self._offsets[number] = -self._end if failed else self._end
        self._end += length
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    def _drop_failed(self) -> None:
        for number, offset in enumerate(self._offsets):
            if offset < 0:
                self._offsets[number] = 0
        self.failed = 0

    def _cut(self, length: int) -> None:
        self._stream.truncate(length)
        self._stream.seek(0, 2)
