"""Writer of parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from data_juicer_sandbox.components.io.columns import Columns
from data_juicer_sandbox.components.io.parse import parse
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject, Row

_ROWS = 20_000
_BYTES = 16 << 20
"""Maximum number of rows, and of bytes of their lines, per row group."""
_HINT = "export_type: jsonl supports any row"


def write_parquet(path: Path, lines: Callable[[], Iterable[bytes]], source_columns: Columns | None = None) -> None:
    """Write JSON lines as a parquet file. Missing fields become null.

    Args:
        path: the output file.
        lines: returns the rows; called twice, since the type of a column may depend on its last row.
        source_columns: the columns of the parquet files that all rows come from, which keep their types. Types of other
            columns are inferred from the values.

    Raises:
        JobError: the values of a field have no common type; names the field.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data_juicer_sandbox.components.io.values import array

    types = _column_types(lines(), source_columns or Columns())
    schema = pa.schema(list(types.items()), metadata=source_columns.metadata if source_columns else None)
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for rows in _batches(lines()):
            columns = [
                _convert(name, array, [row.get(name) for row in rows], arrow_type) for name, arrow_type in types.items()
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _column_types(lines: Iterable[bytes], source_columns: Columns) -> dict[str, LibraryObject]:
    """The type of every column: first those of `source_columns`, then the others in order of appearance."""
    import pyarrow as pa

    from data_juicer_sandbox.components.io.nested import empty_struct

    has_rows = False
    inferred = {name: pa.null() for name, arrow_type in source_columns.types.items() if arrow_type is None}
    for rows in _batches(lines):
        has_rows = True
        untyped = dict.fromkeys(name for row in rows for name in row if source_columns.types.get(name) is None)
        for name in untyped:
            batch_type = _convert(name, pa.array, [row.get(name) for row in rows]).type
            inferred[name] = _convert(name, _widened, inferred.get(name, batch_type), batch_type)
    types = source_columns.types | inferred
    if has_rows and not types:
        raise JobError("no row has a field, so the parquet file would have no columns", hint=_HINT)
    for name, arrow_type in types.items():
        if empty_struct(arrow_type):
            what = f"the field {name!r} holds a mapping that is empty in every row, which parquet does not support"
            raise JobError(what, hint=_HINT)
    return types


def _widened(first: LibraryObject, second: LibraryObject) -> LibraryObject:
    import pyarrow as pa

    schemas = [pa.schema([("x", arrow_type)]) for arrow_type in (first, second)]
    return pa.unify_schemas(schemas, promote_options="permissive").field("x").type


def _convert(name: str, function: Callable[..., LibraryObject], *arguments: LibraryObject) -> LibraryObject:
    """Call a function on the values of a field, or on their types; convert its errors."""
    try:
        return function(*arguments)
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        AttributeError,
        NotImplementedError,
    ) as error:  # includes Arrow's errors
        raise JobError(f"the values of {name!r} do not fit a column of a parquet file: {error}", hint=_HINT) from error


def _batches(lines: Iterable[bytes]) -> Iterator[list[Row]]:
    rows, size = [], 0
    for line in lines:
        rows.append(parse(line))
        size += len(line)
        if len(rows) == _ROWS or size > _BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows
