"""Input rows of a conversion: read one at a time, with a limit for bad rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from loguru import logger

from data_juicer_sandbox.components.io.allowance import MAX_NAMED, Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import Row

Converted = TypeVar("Converted")


class InputRows:
    """The rows of one data set.

    Args:
        name: the data set's name.
        path: the data set's path.
        allowance: limit of bad rows, shared by the data sets of a job.

    Attributes:
        good: number of rows converted so far.
        bad: number of rows skipped so far.
    """

    def __init__(self, name: str, path: str, allowance: Allowance):
        self.name, self.path, self._allowance = name, path, allowance
        self.good, self.bad = 0, 0
        self._descriptions: list[str] = []

    def each(self, convert: Callable[[Row, bytes], Converted]) -> Iterator[Converted]:
        """Yield the result of `convert` for every row and its line; `convert` raises `BadRow` for an invalid row.

        Raises:
            JobError: there are too many bad rows, or no valid rows.
        """
        for file in data_files(self.path):
            for number, line in numbered_lines(file, self._allowance):
                try:
                    converted = convert(parse(line), line)
                except BadRow as error:
                    self._skip(file, number, error)
                else:
                    self.good += 1
                    yield converted
        if not self.good:
            what = f"all {self.bad:,} rows are bad in" if self.bad else "no rows in"
            raise JobError(f"{what} {self.path}", hint="; ".join(self._descriptions) or None)
        if self.bad:
            descriptions = "; ".join(self._descriptions) + ("; ..." if self.bad > MAX_NAMED else "")
            logger.warning(
                "{:,} of {:,} rows of {} are bad and skipped: {}",
                self.bad,
                self.bad + self.good,
                self.path,
                descriptions,
            )

    def _skip(self, file: Path, number: int, error: BadRow) -> None:
        self._allowance.skip(file, number, f"bad row: {error}")
        self.bad += 1
        if self.bad <= MAX_NAMED:
            self._descriptions.append(f"{file.name}:{number}: {error}")
