"""Rows of parquet and CSV files as JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_juicer_sandbox.components.io.write import line
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.types import LibraryObject

_ROWS = 1_000
"""Maximum number of rows in memory."""
_BYTES = 16 << 20
"""Approximate maximum number of bytes of rows in memory."""
_MAX_ROW_BYTES = 32 << 20
"""Maximum size of a row of a CSV file."""
# Values that would not round-trip stay strings: identifiers of 19 digits, 1e999.
_INTEGER = r"^(0|-?[1-9]\d{0,17})$"
_NUMBER = r"^-?(0|[1-9]\d{0,14})(\.\d+)?([eE](\+?\d{1,2}|-\d{1,3}))?$"
_BOOLEAN = r"^(true|false|True|False)$"


def parquet_lines(file: Path) -> Iterator[bytes]:
    """Yield the rows of a parquet file.

    Dates, times, decimals and bytes, which JSON lacks, become strings (see `values`).

    Raises:
        JobError: the file is not a complete parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data_juicer_sandbox.components.io.values import values

    try:
        # `pre_buffer` would keep all prefetched data in memory.
        with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as parquet:
            names = parquet.schema_arrow.names
            if len(set(names)) < len(names):
                raise JobError("two columns have the same name", where=Where(str(file)))
            for batch in parquet.iter_batches(_rows_at_a_time(parquet.metadata)):
                columns = [values(column) for column in batch.columns]
                for number in range(batch.num_rows):
                    yield line({name: column[number] for name, column in zip(names, columns, strict=True)})
    except (pa.ArrowException, OSError, ValueError, ArithmeticError) as error:
        raise JobError(f"the parquet file is damaged, or cannot be read: {error}", where=Where(str(file))) from error


def _rows_at_a_time(metadata: LibraryObject) -> int:
    """Batch size: fewer rows if rows are large, such as images."""
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return max(1, min(_ROWS, _BYTES * metadata.num_rows // max(1, size)))


def csv_lines(file: Path) -> Iterator[bytes]:
    """Yield the rows of a CSV file with a header line; empty cells are null.

    A column has the type integer, number or boolean if all its cells have that format, and string otherwise: a column
    that holds `007` is a string. The file is therefore read twice.

    Raises:
        JobError: a row and the header have different numbers of cells.
    """
    import pyarrow as pa

    try:
        types = _column_types(file)
        for batch in _batches(file, types):
            yield from map(line, batch.to_pylist())
    except pa.ArrowException as error:
        raise JobError(f"not a CSV table: {error}", where=Where(str(file))) from error


def _column_types(file: Path) -> dict[str, LibraryObject]:
    import pyarrow as pa
    import pyarrow.compute as pc

    type_of_pattern = {_INTEGER: pa.int64(), _NUMBER: pa.float64(), _BOOLEAN: pa.bool_()}
    candidates: dict[str, list[str]] = {}
    with_values: set[str] = set()
    for batch in _batches(file, None):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            patterns = candidates.setdefault(name, list(type_of_pattern))
            if column.null_count < len(column):
                with_values.add(name)
            for pattern in list(patterns):
                if not pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py():
                    patterns.remove(pattern)
    return {
        name: type_of_pattern[patterns[0]] if patterns and name in with_values else pa.string()
        for name, patterns in candidates.items()
    }


def _batches(file: Path, types: dict[str, LibraryObject] | None) -> Iterator[LibraryObject]:
    """Yield the table in record batches; all columns are strings if `types` is None."""
    import pyarrow as pa
    from pyarrow import csv

    from data_juicer_sandbox.components.io.lines import open_bytes

    options = {
        "read_options": csv.ReadOptions(block_size=_MAX_ROW_BYTES),
        "parse_options": csv.ParseOptions(newlines_in_values=True),
    }
    if types is None:
        with open_bytes(file) as stream:
            names = csv.open_csv(stream, **options).schema.names
        if len(set(names)) < len(names):
            raise JobError("two columns have the same name", where=Where(str(file), 1))
        types = dict.fromkeys(names, pa.string())
    convert = csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    with open_bytes(file) as stream:
        yield from csv.open_csv(stream, convert_options=convert, **options)
