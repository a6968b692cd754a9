"""Rows out: as a parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.rows.parse import parse
from data_juicer_sandbox.errors import JobError

_ROWS = 5_000
"""Rows held at a time: a row group."""


def write_parquet(path: Path, lines: Callable[[], Iterable[bytes]]) -> None:
    """Write lines of JSON as a parquet file.

    Args:
        path: the file to make.
        lines: gives the rows; called twice, since the type of a column may not be known before its last row.

    Raises:
        JobError: a field holds values for which there is no common type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        kind = pa.schema([])
        for rows in _batches(lines()):
            kind = pa.unify_schemas([kind, pa.schema(list(pa.array(rows).type))], promote_options="permissive")
        if not kind.names:
            raise JobError(f"nothing to write to {path}: no row has a field")
        with pq.ParquetWriter(path, kind, compression="zstd") as writer:
            for rows in _batches(lines()):
                writer.write_batch(pa.RecordBatch.from_struct_array(pa.array(rows, pa.struct(list(kind)))))
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise JobError(
            f"the rows do not fit the columns of a parquet file: {error}", hint="export_type: jsonl takes any row"
        ) from error


def _batches(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    rows = map(parse, lines)
    while held := list(islice(rows, _ROWS)):
        yield held
