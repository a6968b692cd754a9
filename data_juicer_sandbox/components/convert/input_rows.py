"""Rows on their way into a conversion: read one at a time, and a counted few of them may be bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger

from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.errors import JobError, Where

Row = dict[str, Any]
Made = TypeVar("Made")
_NAMED = 20
"""So many bad rows are named in the log; the others are counted."""


class Allowance:
    """How many rows may still be bad, in all data sets of a job together."""

    def __init__(self, rows: int):
        self.rows, self.left = rows, rows


class RowsIn:
    """The rows of one data set.

    Args:
        name: what the data set is called.
        path: where it lies.
        allowance: of bad rows; shared by the data sets of a job.

    Attributes:
        good: rows converted so far.
        bad: rows left out so far.
    """

    def __init__(self, name: str, path: str, allowance: Allowance):
        self.name, self.path, self._allowance = name, path, allowance
        self.good, self.bad = 0, 0
        self._named: list[str] = []

    def each(self, convert: Callable[[Row, bytes], Made]) -> Iterator[Made]:
        """What `convert` makes of every row and of its line; it raises `BadRow` for a row that it cannot use.

        Raises:
            JobError: one bad row too many, or there are no rows, or none that is good.
        """
        for file in data_files(self.path):
            for number, line in numbered_lines(file):
                try:
                    made = convert(parse(line), line)
                except BadRow as error:
                    self._leave_out(file, number, error)
                else:
                    self.good += 1
                    yield made
        if not self.good:
            what = f"all {self.bad:,} rows are bad in" if self.bad else "there are no rows in"
            raise JobError(f"{what} {self.path}", hint="; ".join(self._named) or None)
        if self.bad:
            named = "; ".join(self._named) + ("; ..." if self.bad > _NAMED else "")
            logger.warning(
                "{:,} of {:,} rows of {} are bad and left out: {}",
                self.bad,
                self.bad + self.good,
                self.path,
                named,
            )

    def _leave_out(self, file: Path, number: int, error: BadRow) -> None:
        if not self._allowance.left:
            allowed = self._allowance.rows
            hint = (
                f"that is one more than skip_bad_rows: {allowed}" if allowed else "skip_bad_rows: N permits N such rows"
            )
            raise JobError(f"bad row: {error}", where=Where(str(file), number), hint=hint) from error
        self._allowance.left -= 1
        self.bad += 1
        if self.bad <= _NAMED:
            self._named.append(f"{file.name}:{number}: {error}")
