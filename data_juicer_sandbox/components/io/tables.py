"""Rows of parquet and CSV files as JSON lines."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.csv_records import Record, records, source_lines
from data_juicer_sandbox.components.io.parse import line
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


def csv_lines(file: Path, delimiter: str, allowance: Allowance) -> Iterator[tuple[int, bytes]]:
    """Yield the rows of a CSV or TSV file with a header line, each with its first line number; empty cells are null.

    A column has the type integer, number or boolean if all its cells have that format, and string otherwise: a column
    that holds `007` is a string. The file is therefore read twice.

    Args:
        file: the file.
        delimiter: what separates cells.
        allowance: the bad rows that are tolerated: a wrong number of cells, a quote that is never closed, not UTF-8.

    Raises:
        JobError: the header is invalid, or there is a bad row that is not tolerated.
    """
    import pyarrow as pa

    numbers = array("Q")

    def note(record: Record) -> None:
        if record.problem:
            allowance.skip(file, record.number, record.problem)
        else:
            numbers.append(record.number)

    try:
        types = _column_types(file, delimiter, note)
        number = 0
        for batch in _batches(file, delimiter, types):
            for row in batch.to_pylist():
                number += 1  # the header is record 0
                yield numbers[number] if number < len(numbers) else number, line(row)
    except pa.ArrowException as error:
        raise JobError(
            f"not a {'TSV' if delimiter == chr(9) else 'CSV'} table: {error}", where=Where(str(file))
        ) from error


def _column_types(file: Path, delimiter: str, note: Callable[[Record], None]) -> dict[str, LibraryObject]:
    import pyarrow as pa
    import pyarrow.compute as pc

    type_of_pattern = {_INTEGER: pa.int64(), _NUMBER: pa.float64(), _BOOLEAN: pa.bool_()}
    candidates: dict[str, list[str]] = {}
    with_values: set[str] = set()
    for batch in _batches(file, delimiter, None, note):
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


def _batches(
    file: Path,
    delimiter: str,
    types: dict[str, LibraryObject] | None,
    note: Callable[[Record], None] = lambda record: None,
) -> Iterator[LibraryObject]:
    """Yield the table in record batches; all columns are strings if `types` is None."""
    import pyarrow as pa
    from pyarrow import csv

    options = {
        "read_options": csv.ReadOptions(block_size=_MAX_ROW_BYTES),
        "parse_options": csv.ParseOptions(newlines_in_values=True, delimiter=delimiter),
    }
    source = records(source_lines(file), delimiter.encode())
    if types is None:
        header = next(source, None)
        if header is None:
            raise JobError("Empty CSV file", where=Where(str(file)))
        if header.problem:
            raise JobError(header.problem, where=Where(str(file), header.number))
        note(header)
        names = csv.open_csv(io.BytesIO(header.data), **options).schema.names
        if len(set(names)) < len(names):
            raise JobError("two columns have the same name", where=Where(str(file), 1))
        types = dict.fromkeys(names, pa.string())
        source = chain([Record(0, header.data)], source)
    convert = csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    yield from csv.open_csv(_ValidRecords(source, note), convert_options=convert, **options)


class _ValidRecords(io.RawIOBase):
    """A stream of the records that are rows of the table.

    Args:
        source: all records.
        note: is called with each, except for record 0.
    """

    def __init__(self, source: Iterator[Record], note: Callable[[Record], None]):
        self._source, self._note = source, note
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._rest], len(self._rest)
        while size < 0 or length < size:
            record = next(self._source, None)
            if record is None:
                break
            if record.number:
                self._note(record)
            if not record.problem:
                data = record.data if record.data.endswith((b"\n", b"\r")) else record.data + b"\n"
                parts.append(data)
                length += len(data)
        joined = b"".join(parts)
        if size < 0:
            self._rest = b""
            return joined
        self._rest = joined[size:]
        return joined[:size]
