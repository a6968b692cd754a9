"""Rows out: as a parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.io.columns import Columns
from data_juicer_sandbox.components.io.parse import parse
from data_juicer_sandbox.errors import JobError

_ROWS = 20_000
_BYTES = 16 << 20
"""Rows, and bytes of their lines, that are held at a time: a row group."""
_HINT = "export_type: jsonl takes any row"


def write_parquet(path: Path, lines: Callable[[], Iterable[bytes]], known: Columns | None = None) -> None:
    """Write lines of JSON as a parquet file. A field that a row lacks is null.

    Args:
        path: the file to make.
        lines: gives the rows; called twice, since the type of a column may not be known before its last row.
        known: the columns of the parquet files that all rows come from: those keep their types. The other columns'
            types are found from the values.

    Raises:
        JobError: a field holds values for which there is no common type; names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data_juicer_sandbox.components.io.values import array

    types = _types(lines(), known or Columns())
    schema = pa.schema(list(types.items()), metadata=known.notes if known else None)
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for rows in _batches(lines()):
            columns = [_try(name, array, [row.get(name) for row in rows], kind) for name, kind in types.items()]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _types(lines: Iterable[bytes], known: Columns) -> dict[str, Any]:
    """The type of every column: the known ones first, then the others as they appear."""
    import pyarrow as pa

    from data_juicer_sandbox.components.io.nested import empty_struct

    there, found = False, {name: pa.null() for name, kind in known.types.items() if kind is None}
    for rows in _batches(lines):
        there = True
        new = dict.fromkeys(name for row in rows for name in row if known.types.get(name) is None)
        for name in new:
            kind = _try(name, pa.array, [row.get(name) for row in rows]).type
            found[name] = _try(name, _wider, found.get(name, kind), kind)
    types = {name: found[name] if kind is None else kind for name, kind in known.types.items()} | found
    if there and not types:
        raise JobError("no row has a field: there is nothing to write as parquet", hint=_HINT)
    for name, kind in types.items():
        if empty_struct(kind):
            what = f"the field {name!r} holds a mapping that is empty in every row: parquet has no type for it"
            raise JobError(what, hint=_HINT)
    return types


def _wider(one: Any, other: Any) -> Any:
    import pyarrow as pa

    schemas = [pa.schema([("x", kind)]) for kind in (one, other)]
    return pa.unify_schemas(schemas, promote_options="permissive").field("x").type


def _try(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function makes of the values of a field, or their type."""
    try:
        return function(*arguments)
    except (ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError) as error:  # Arrow's among them
        raise JobError(f"the values of {name!r} do not fit a column of a parquet file: {error}", hint=_HINT) from error


def _batches(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    held, size = [], 0
    for line in lines:
        held.append(parse(line))
        size += len(line)
        if len(held) == _ROWS or size > _BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held
