"""Column types of tables, as recorded in their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_juicer_sandbox.types import LibraryObject

_METADATA_KEY = b"huggingface"
"""The schema metadata that remains valid for a subset of the rows: which columns are images, labels, ..."""


@dataclass(frozen=True)
class Columns:
    """The columns of one or more tables."""

    types: dict[str, LibraryObject] = field(default_factory=dict)
    """The Arrow type of each column; None if it is unknown or differs between tables."""
    metadata: dict[bytes, bytes] = field(default_factory=dict)
    """The schema metadata of the Hugging Face library, if it is equal in all tables."""

    def of_bytes(self) -> set[str]:
        """The columns with binary values, such as images."""
        from data_juicer_sandbox.components.io.values import has_bytes

        return {name for name, arrow_type in self.types.items() if arrow_type is not None and has_bytes(arrow_type)}


def columns_of(files: Sequence[Path]) -> Columns | None:
    """Read the columns of parquet files from their schemas."""
    import pyarrow.parquet as pq

    from data_juicer_sandbox.components.io.values import is_supported, storage_type

    tables = []
    for file in files:
        schema = pq.read_schema(file)
        metadata = {key: text for key, text in (schema.metadata or {}).items() if key == _METADATA_KEY}
        types = {column.name: storage_type(column.type) if is_supported(column.type) else None for column in schema}
        tables.append(Columns(types, metadata))
    return merge_schemas(tables)


def merge_schemas(tables: Sequence[Columns | None]) -> Columns | None:
    """Merge the columns of several tables; None if there are no tables, or the columns of one are unknown."""
    schemas = [table for table in tables if table is not None]
    if not schemas or len(schemas) < len(tables):
        return None
    types = dict(schemas[0].types)
    for table in schemas[1:]:
        for name, arrow_type in table.types.items():
            types[name] = _common_type(types[name], arrow_type) if name in types else arrow_type
    metadata = schemas[0].metadata if all(table.metadata == schemas[0].metadata for table in schemas) else {}
    return Columns(types, metadata)


def _common_type(first: LibraryObject, second: LibraryObject) -> LibraryObject:
    """The type to which both unify by adding struct fields or replacing nulls; None if they differ.

    Types are not widened: a value's JSON form depends on its type, and a string must not be decoded as bytes.
    """
    import pyarrow as pa

    if first is None or second is None or first == second:
        return first if first == second else None
    try:
        schemas = [pa.schema([("x", arrow_type)]) for arrow_type in (first, second)]
        return pa.unify_schemas(schemas, promote_options="default").field("x").type
    except pa.ArrowException:
        return None
