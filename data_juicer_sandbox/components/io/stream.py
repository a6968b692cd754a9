"""Streaming readers of the rows and lines of a data set, and an atomic writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.io.parse import BadRow, line, parse
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import Row


def read_lines(path: str | Path) -> Iterator[bytes]:
    """Yield the rows of a data set as JSON lines with line breaks; lines of jsonl files keep their bytes.

    Args:
        path: a file (jsonl, json with a list, csv, each also .gz or .zst; parquet), a folder or a pattern of them.
    """
    for file in data_files(path):
        for _, row_line in numbered_lines(file):
            yield row_line


def read_rows(path: str | Path, allowance: Allowance | None = None) -> Iterator[Row]:
    """Yield the rows of a data set, one at a time.

    Args:
        path: as for `read_lines`.
        allowance: the bad rows that are skipped; none by default.

    Raises:
        JobError: a line is not a JSON object; names file and line.
    """
    for file in data_files(path):
        for number, row_line in numbered_lines(file, allowance):
            try:
                row = parse(row_line)
            except BadRow as error:
                if allowance is None:
                    raise JobError(str(error), where=Where(str(file), number)) from error
                allowance.skip(file, number, error)
            else:
                yield row


def write_rows(path: str | Path, rows: Iterable[Row]) -> int:
    """Write rows as jsonl, atomically; returns the number of rows."""
    count = 0
    with replacing(path) as part, part.open("wb") as stream:
        for row in rows:
            stream.write(line(row))
            count += 1
    return count
