"""Rows of parquet and CSV files as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.io.write import line
from data_juicer_sandbox.errors import JobError, Where

_ROWS = 1_000
"""Rows held at a time."""
_BYTES = 16 << 20
"""Bytes of rows held at a time, about."""
_LONGEST = 32 << 20
"""Bytes that a row of a CSV file may have."""
# What would not come out as it went in stays text: identifiers of 19 digits, 1e999.
_WHOLE = r"^(0|-?[1-9]\d{0,17})$"
_NUMBER = r"^-?(0|[1-9]\d{0,14})(\.\d+)?([eE](\+?\d{1,2}|-\d{1,3}))?$"
_TRUTH = r"^(true|false|True|False)$"


def parquet_lines(file: Path) -> Iterator[bytes]:
    """The rows of a parquet file.

    JSON has no dates, times, decimals and bytes: they become texts, bytes in base64 (see `values`).

    Raises:
        JobError: it is no whole parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data_juicer_sandbox.components.io.values import values

    try:
        # What is read ahead (`pre_buffer`) is never let go of.
        with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as parquet:
            names = parquet.schema_arrow.names
            if len(set(names)) < len(names):
                raise JobError("two columns bear the same name", where=Where(str(file)))
            for batch in parquet.iter_batches(_rows_at_a_time(parquet.metadata)):
                columns = [values(column) for column in batch.columns]
                for number in range(batch.num_rows):
                    yield line({name: column[number] for name, column in zip(names, columns, strict=True)})
    except (pa.ArrowException, OSError, ValueError, ArithmeticError) as error:
        raise JobError(f"the parquet file is damaged, or cannot be read: {error}", where=Where(str(file))) from error


def _rows_at_a_time(metadata: Any) -> int:
    """Few, where rows are large: images, say."""
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return max(1, min(_ROWS, _BYTES * metadata.num_rows // max(1, size)))


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
            yield from map(line, batch.to_pylist())
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

    from data_juicer_sandbox.components.io.lines import open_bytes

    options = {
        "read_options": csv.ReadOptions(block_size=_LONGEST),
        "parse_options": csv.ParseOptions(newlines_in_values=True),
    }
    if types is None:
        with open_bytes(file) as stream:
            names = csv.open_csv(stream, **options).schema.names
        if len(set(names)) < len(names):
            raise JobError("two columns bear the same name", where=Where(str(file), 1))
        types = dict.fromkeys(names, pa.string())
    convert = csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    with open_bytes(file) as stream:
        yield from csv.open_csv(stream, convert_options=convert, **options)
