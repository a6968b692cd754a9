"""The rows of one file as lines of JSON, whatever its format."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from data_juicer_sandbox.components.io.data_files import PACKED, file_format
from data_juicer_sandbox.errors import JobError, Where


def numbered_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The number (from 1) and the bytes of every row.

    JSON lines come as they are, with their line ends; blank lines are passed over, but count as lines. In the other
    formats the number is that of the row.

    Raises:
        JobError: the file is damaged, or not of the format that its name says.
    """
    if file_format(file) == "parquet":
        from data_juicer_sandbox.components.io.tables import parquet_lines

        yield from enumerate(parquet_lines(file), 1)
        return
    try:
        with open_bytes(file) as stream:
            if file_format(file) == "csv":
                from data_juicer_sandbox.components.io.tables import csv_lines

                yield from enumerate(csv_lines(file), 1)
            elif file_format(file) == "json" and first_sign(stream) == b"[":
                from data_juicer_sandbox.components.io.json_list import list_lines

                yield from list_lines(stream, file)
            else:
                yield from _lines(stream)
    except _damage() as error:
        raise JobError(f"the compressed file is damaged or cut off: {error}", where=Where(str(file))) from error


def open_bytes(file: Path) -> BinaryIO:
    """The bytes of a file, uncompressed.

    Raises:
        EOFError: it should be compressed, and is empty: no compressor writes that.
    """
    if file.suffix in PACKED and not file.stat().st_size:
        raise EOFError("it is empty")
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if file.suffix == ".zst":
        from backports import zstd

        return cast(BinaryIO, zstd.open(file, "rb"))
    return file.open("rb", buffering=1 << 20)


def first_sign(stream: BinaryIO) -> bytes:
    """The first byte that is no blank and no byte order mark; the stream is back at its start then."""
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
    """What reading a damaged file raises."""
    from backports import zstd

    return (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
