"""Rows in and out: one JSON object a line, streamed, plain or compressed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing


def open_rows(path: str | Path) -> BinaryIO:
    """The bytes of a `.jsonl`, `.jsonl.gz` or `.jsonl.zst` file, uncompressed.

    Raises:
        JobError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise JobError(f"there is no data set at {path}")
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import io

        import zstandard

        return cast(BinaryIO, io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(path.open("rb"))))
    return path.open("rb")


def read_lines(path: str | Path) -> Iterator[bytes]:
    """The lines that hold something, each with its line end, byte for byte."""
    with open_rows(path) as stream:
        for line in stream:
            if not line.isspace():
                yield line


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a data set, one at a time.

    Raises:
        JobError: a line is no JSON object; names file and line.
    """
    with open_rows(path) as stream:
        for number, line in enumerate(stream, 1):
            if line.isspace():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise JobError(f"not a JSON row: {error}", where=Where(str(path), number)) from error
            if not isinstance(row, dict):
                raise JobError(f"a row is a JSON object, not {type(row).__name__}", where=Where(str(path), number))
            yield row


def write_rows(path: str | Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as jsonl, whole or not at all; returns how many."""
    count = 0
    with replacing(path) as part, part.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count
