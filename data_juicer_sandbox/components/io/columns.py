"""What is known of the columns of tables: the types their files give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_KEPT = b"huggingface"
"""Of what libraries note in a file, this stays true of a choice of its rows: which columns are images, labels, ..."""


@dataclass(frozen=True)
class Columns:
    """The columns of one or more tables."""

    types: dict[str, Any] = field(default_factory=dict)
    """The Arrow type of each; None where it is not known, or tables differ."""
    notes: dict[bytes, bytes] = field(default_factory=dict)
    """What the Hugging Face library wrote about them, where all tables say the same."""

    def of_bytes(self) -> set[str]:
        """The columns that hold bytes, such as images."""
        from data_juicer_sandbox.components.io.values import has_bytes

        return {name for name, kind in self.types.items() if kind is not None and has_bytes(kind)}


def columns_of(files: Sequence[Path]) -> Columns | None:
    """The columns of parquet files."""
    import pyarrow.parquet as pq

    from data_juicer_sandbox.components.io.values import is_known, plain

    found = []
    for file in files:
        schema = pq.read_schema(file)
        notes = {key: text for key, text in (schema.metadata or {}).items() if key == _KEPT}
        types = {column.name: plain(column.type) if is_known(column.type) else None for column in schema}
        found.append(Columns(types, notes))
    return merge_schemas(found)


def merge_schemas(tables: Sequence[Columns | None]) -> Columns | None:
    """The columns of several tables as one; None where nothing is known of one of them, or there is none."""
    known = [table for table in tables if table is not None]
    if not known or len(known) < len(tables):
        return None
    types = dict(known[0].types)
    for table in known[1:]:
        for name, kind in table.types.items():
            types[name] = _common(types[name], kind) if name in types else kind
    notes = known[0].notes if all(table.notes == known[0].notes for table in known) else {}
    return Columns(types, notes)


def _common(one: Any, other: Any) -> Any:
    """The type that both are, or become by more fields or by being all null; None where they differ.

    Nothing wider is sought: what stands for a value in JSON goes by its type, and text may not be taken for bytes.
    """
    import pyarrow as pa

    if one is None or other is None or one == other:
        return one if one == other else None
    try:
        schemas = [pa.schema([("x", kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="default").field("x").type
    except pa.ArrowException:
        return None
