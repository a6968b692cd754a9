"""Rows of one data file of any format as JSON lines."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import COMPRESSED, file_format
from data_juicer_sandbox.errors import JobError, Where


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
    for number, line in enumerate(stream, 1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line and not line.isspace():
            yield number, line


def _damage() -> tuple[type[Exception], ...]:
    """The exceptions that reading a damaged file raises."""
    from backports import zstd

    return (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
