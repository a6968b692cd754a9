"""Rows of parquet and CSV files as lines of JSON."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_juicer_sandbox.errors import JobError, Where

_ROWS = 1_000
"""Rows held at a time."""
_WHOLE = r"^-?(0|[1-9]\d{0,17})$"
_NUMBER = r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$"
_TRUTH = r"^(true|false|True|False)$"


def parquet_lines(file: Path) -> Iterator[bytes]:
    """The rows of a parquet file.

    Times become ISO 8601 texts, decimals texts, bytes base64: JSON has no such values.

    Raises:
        JobError: it is no whole parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(_ROWS):
                yield from _lines(batch.to_pylist())
    except pa.ArrowException as error:
        raise JobError(f"no whole parquet file: {error}", where=Where(str(file))) from error


def csv_lines(file: Path) -> Iterator[bytes]:
    """The rows of a CSV file with a header line; empty cells are null.

    A column is of whole numbers, numbers or truth values where all its cells are written so, and of texts otherwise:
    a column that holds `007` stays text. For that the file is read twice.

    Raises:
        JobError: a row has another number of cells than the header.
    """
    import pyarrow as pa

    try:
        types = _column_types(file)
        for batch in _batches(file, types):
            yield from _lines(batch.to_pylist())
    except pa.ArrowException as error:
        raise JobError(f"no CSV table: {error}", where=Where(str(file))) from error


def _column_types(file: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = {_WHOLE: pa.int64(), _NUMBER: pa.float64(), _TRUTH: pa.bool_()}
    open_: dict[str, list[str]] = {}
    filled: set[str] = set()
    for batch in _batches(file, None):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            patterns = open_.setdefault(name, list(kinds))
            if column.null_count < len(column):
                filled.add(name)
            for pattern in list(patterns):
                if not pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py():
                    patterns.remove(pattern)
    return {
        name: kinds[patterns[0]] if patterns and name in filled else pa.string() for name, patterns in open_.items()
    }


def _batches(file: Path, types: dict[str, Any] | None) -> Iterator[Any]:
    """The table in pieces; all columns as texts where no types are given."""
    import pyarrow as pa
    from pyarrow import csv

    from data_juicer_sandbox.components.rows.lines import open_bytes

    if types is None:
        with open_bytes(file) as stream:
            names = csv.open_csv(stream, parse_options=csv.ParseOptions(newlines_in_values=True)).schema.names
        if len(set(names)) < len(names):
            raise JobError("two columns bear the same name", where=Where(str(file), 1))
        types = dict.fromkeys(names, pa.string())
    convert = csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    convert.null_values = [""]
    with open_bytes(file) as stream:
        yield from csv.open_csv(
            stream, convert_options=convert, parse_options=csv.ParseOptions(newlines_in_values=True)
        )


def _lines(rows: list[dict[str, Any]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False, default=_spell).encode("utf-8", "surrogatepass") + b"\n"


def _spell(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.timedelta | decimal.Decimal):
        return str(value)
    raise TypeError(f"no JSON for a {type(value).__name__}")
