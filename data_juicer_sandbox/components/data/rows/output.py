"""Formats of exports, by their names."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, cast

from data_juicer_sandbox.components.io.columns import Columns

FORMATS = ("jsonl", "json", "parquet")
PACKED = (".gz", ".zst")
_FORMAT_OF_ENDING = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet"}
_EXPECTED = "a name that ends in .jsonl, .jsonl.gz, .jsonl.zst, .json or .parquet"


def export_format(path: str, export_type: str | None) -> str:
    """The format of an export: `jsonl`, `json` or `parquet`.

    Args:
        path: the recipe's `export_path`.
        export_type: the recipe's `export_type`, which counts more than the ending.

    Raises:
        ValueError: there is no such format.
    """
    name = path.rstrip("/").rpartition("/")[2]
    packed = next((ending for ending in PACKED if name.endswith(ending)), "")
    ending = Path(name.removesuffix(packed)).suffix
    file_format = str(export_type) if export_type else _FORMAT_OF_ENDING.get(ending, "")
    if export_type and file_format not in FORMATS:
        raise ValueError(f"`export_type` cannot be {export_type!r}; expected one of {', '.join(FORMATS)}")
    if not file_format:
        what = f"ends in {ending + packed!r}" if ending else "has no ending that names a format"
        raise ValueError(f"`export_path` {path!r} {what}; expected {_EXPECTED}, or `export_type`")
    if packed and file_format == "parquet":
        raise ValueError(f"`export_path` {path!r} is compressed twice; expected {_EXPECTED}")
    return file_format


def write_export(path: Path, lines: Callable[[], Iterable[bytes]], file_format: str, columns: Columns | None) -> None:
    """Write rows to a file.

    Args:
        path: the file; `.gz` and `.zst` are compressed.
        lines: returns the rows.
        file_format: `jsonl`, `json` (a list) or `parquet`.
        columns: the columns of the parquet files that all rows come from.
    """
    if file_format == "parquet":
        from data_juicer_sandbox.components.io.parquet import write_parquet

        write_parquet(path, lines, columns)
        return
    with _opened(path) as stream:
        if file_format == "jsonl":
            for line in lines():
                stream.write(line)
        else:
            separator = b"[\n"
            for line in lines():
                stream.write(separator + line.rstrip(b"\r\n"))
                separator = b",\n"
            stream.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path.suffix == ".gz":
        with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as stream:
            yield cast(BinaryIO, stream)
    elif path.suffix == ".zst":
        from backports import zstd

        with zstd.open(path, "wb") as stream:
            yield cast(BinaryIO, stream)
    else:
        with path.open("wb", buffering=1 << 20) as stream:
            yield stream


def shard_names(name: str, count: int) -> list[str]:
    """The names of an export's shards, as Data-Juicer names them: `kept-00-of-12.jsonl`."""
    stem, _, ending = name.partition(".")
    digits = len(str(count)) + 1
    return [f"{stem}-{index:0{digits}d}-of-{count:0{digits}d}.{ending}" for index in range(count)]


def shard_slices(rows: int, count: int) -> list[range]:
    """The rows of each shard: neighbours, as many in each as in the others or one more."""
    size, rest = divmod(rows, count)
    starts = [index * size + min(index, rest) for index in range(count + 1)]
    return [range(start, end) for start, end in pairwise(starts)]
