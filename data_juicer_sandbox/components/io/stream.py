"""Rows and lines of a data set, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.errors import JobError, Where


def read_lines(path: str | Path) -> Iterator[bytes]:
    """The rows of a data set as lines of JSON, each with its line end; those of JSON lines byte for byte.

    Args:
        path: a file (jsonl, json with a list, csv, each also .gz or .zst; parquet), a folder or a pattern of them.
    """
    for file in data_files(path):
        for _, line in numbered_lines(file):
            yield line


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a data set, one at a time.

    Args:
        path: as for `read_lines`.

    Raises:
        JobError: a line is no JSON object; names file and line.
    """
    for file in data_files(path):
        for number, line in numbered_lines(file):
            try:
                yield parse(line)
            except BadRow as error:
                raise JobError(str(error), where=Where(str(file), number)) from error
