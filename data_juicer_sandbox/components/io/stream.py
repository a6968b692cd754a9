"""Rows of data files and data sets, of any format, as JSON lines; an atomic writer of rows."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import COMPRESSED, data_files, file_format
from data_juicer_sandbox.components.io.parse import BadRow, line, parse
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import Row


def numbered_lines(file: Path, allowance: Allowance | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield the number (from 1) and the bytes of every row.

    Rows of JSON Lines keep their bytes, including line breaks; blank lines are skipped but counted. For a CSV file the
    number is the first line of the row, for a parquet file or a JSON list the row number.

    Args:
        file: the data file.
        allowance: the bad rows of a CSV file that are tolerated; none by default.

    Raises:
        JobError: the file is damaged, or not in the format of its ending.
    """
    if file_format(file) == "parquet":
        from data_juicer_sandbox.components.io.tables import parquet_lines

        yield from enumerate(parquet_lines(file), 1)
        return
    try:
        with open_bytes(file) as stream:
            if file_format(file) in ("csv", "tsv"):
                from data_juicer_sandbox.components.io.tables import csv_lines

                yield from csv_lines(file, "," if file_format(file) == "csv" else "\t", allowance or Allowance())
            elif file_format(file) == "json" and first_character(stream) == b"[":
                from data_juicer_sandbox.components.io.json_list import list_lines

                yield from list_lines(stream, file)
            else:
                yield from _lines(stream)
    except _damage() as error:
        raise JobError(f"the compressed file is damaged or cut off: {error}", where=Where(str(file))) from error


def open_bytes(file: Path) -> BinaryIO:
    """Open a file for reading, decompressed.

    Raises:
        EOFError: a compressed file has 0 bytes, so it is truncated.
    """
    if file.suffix in COMPRESSED and not file.stat().st_size:
        raise EOFError("the file is empty")
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if file.suffix == ".zst":
        from backports import zstd

        return cast(BinaryIO, zstd.open(file, "rb"))
    return file.open("rb", buffering=1 << 20)


def first_character(stream: BinaryIO) -> bytes:
    """The first byte after whitespace and a byte order mark; resets the stream to its start."""
    start = stream.read(1 << 16).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    stream.seek(0)
    return start


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for number, row_line in enumerate(stream, 1):
        if number == 1:
            row_line = row_line.removeprefix(codecs.BOM_UTF8)
        if row_line and not row_line.isspace():
            yield number, row_line


def _damage() -> tuple[type[Exception], ...]:
    """The exceptions that reading a damaged file raises."""
    from backports import zstd

    return (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)


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


def valid_lines(path: str | Path, allowance: Allowance | None = None) -> Iterator[tuple[Path, int, bytes]]:
    """Yield file, number and line of each row that is not skipped.

    Lines are parsed only if bad rows are tolerated; otherwise the caller finds them.

    Args:
        path: as for `read_lines`.
        allowance: the bad rows that are skipped; none by default.
    """
    for file in data_files(path):
        for number, row_line in numbered_lines(file, allowance):
            if allowance is not None and allowance.rows:
                try:
                    parse(row_line)
                except BadRow as error:
                    allowance.skip(file, number, error)
                    continue
            yield file, number, row_line
