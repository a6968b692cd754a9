"""Streaming access to the rows and lines of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.types import Row


def read_lines(path: str | Path) -> Iterator[bytes]:
    """Yield the rows of a data set as JSON lines with line breaks; lines of jsonl files keep their bytes.

    Args:
        path: a file (jsonl, json with a list, csv, each also .gz or .zst; parquet), a folder or a pattern of them.
    """
    for file in data_files(path):
        for _, line in numbered_lines(file):
            yield line


def read_rows(path: str | Path, allowance: Allowance | None = None) -> Iterator[Row]:
    """Yield the rows of a data set, one at a time.

    Args:
        path: as for `read_lines`.
        allowance: the bad rows that are skipped; none by default.

    Raises:
        JobError: a line is not a JSON object; names file and line.
    """
    for file in data_files(path):
        for number, line in numbered_lines(file, allowance):
            try:
                row = parse(line)
            except BadRow as error:
                if allowance is None:
                    raise JobError(str(error), where=Where(str(file), number)) from error
                allowance.skip(file, number, error)
            else:
                yield row


def valid_lines(path: str | Path, allowance: Allowance | None = None) -> Iterator[tuple[Path, int, bytes]]:
    """Yield file, number and line of each row that is not skipped.

    Lines are parsed only if bad rows are tolerated; otherwise the caller finds them.

    Args:
        path: as for `read_lines`.
        allowance: the bad rows that are skipped; none by default.
    """
    for file in data_files(path):
        for number, line in numbered_lines(file, allowance):
            if allowance is not None and allowance.rows:
                try:
                    parse(line)
                except BadRow as error:
                    allowance.skip(file, number, error)
                    continue
            yield file, number, line
