"""What comes back from Data-Juicer: for each row of its result the original line, with the changes that OPs made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data_juicer_sandbox.components.data.rows.field_types import FieldType
from data_juicer_sandbox.components.data.rows.hand_over import META, ROW, STATS, SUFFIX, HandedRows
from data_juicer_sandbox.components.io.edit_fields import edit_fields
from data_juicer_sandbox.components.io.parse import line as row_line
from data_juicer_sandbox.components.io.parse import parse, to_json
from data_juicer_sandbox.types import JsonValue, LibraryObject, Row

HASHES = ("__dj__hash", "__dj__minhash", "__dj__simhash", "__dj__imagehash", "__dj__videohash")
_ROWS = 1_000
"""Number of rows in memory."""


@dataclass(frozen=True)
class Kept:
    """Which of Data-Juicer's own fields the result keeps."""

    stats: bool = False
    hashes: bool = False

    def dropped(self) -> set[str]:
        """The fields that are removed from every row."""
        return {SUFFIX} | (set() if self.stats else {STATS, META}) | (set() if self.hashes else set(HASHES))


class ResultRows:
    """The rows of Data-Juicer's result.

    Args:
        result: the data set that Data-Juicer returned.
        handed: what it got.
        dataset: the data set that it got, read from `handed`.
        kept: which of Data-Juicer's own fields are kept.
    """

    def __init__(self, result: LibraryObject, handed: HandedRows, dataset: LibraryObject, kept: Kept):
        from datasets import Dataset

        self._result = Dataset.with_format(result, "arrow")
        self._dataset = Dataset.with_format(dataset, "arrow")
        self._read = Dataset.__getitem__
        self._handed = handed
        self._dropped = kept.dropped()
        self._columns = list(result.features)
        self.count = len(result)
        self.has_stats = self.count > 0 and not {STATS, META}.isdisjoint(self._columns)
        lost = set(handed.types) - set(self._columns) - self._dropped
        self._removed = self._dropped | lost
        self._signs = [b"__dj__", *(to_json(name)[1:-1] for name in sorted(lost))]
        if lost:
            self._signs.append(b"\\")  # an escape may hide a field's name

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the rows, or some of them, as lines."""
        stop = self.count if stop is None else stop
        for first in range(start, stop, _ROWS):
            yield from self._lines(self._read(self._result, slice(first, min(first + _ROWS, stop))))

    def stats_lines(self) -> Iterator[bytes]:
        """Yield the stats and tags of every row, without the row; nothing if there are none."""
        names = [name for name in (STATS, META) if name in self._columns]
        if names:
            for start in range(0, self.count, _ROWS):
                table = self._read(self._result, slice(start, min(start + _ROWS, self.count)))
                columns = [_own_values(table.column(name)) for name in names]
                for values in zip(*columns, strict=True):
                    yield row_line(dict(zip(names, values, strict=True)))

    def bytes_estimated(self) -> int:
        """About the number of bytes of all rows."""
        total = 0
        for start in range(0, self.count, _ROWS):
            numbers = _numbers(self._read(self._result, slice(start, min(start + _ROWS, self.count))))
            if numbers is None:
                return self._handed.lines.size
            total += self._handed.lines.size_of(numbers)
        return total

    def _lines(self, table: LibraryObject) -> Iterator[bytes]:
        numbers = _numbers(table)
        names = [name for name in self._columns if name != ROW and name not in self._dropped]
        if numbers is None:  # a grouper made new rows
            columns = [_values(table.column(name)) for name in names]
            for values in zip(*columns, strict=True):
                yield row_line(dict(zip(names, values, strict=True)))
            return
        edits = self._edits(table, numbers, names)
        for index, line in enumerate(self._handed.lines.read(numbers)):
            changed = edits.get(index, {})
            for name in self._handed.media:
                if name in changed and parse(line).get(name) == changed[name]:
                    del changed[name]
            if changed or any(sign in line for sign in self._signs):
                line = edit_fields(line, changed, self._removed - changed.keys())
            yield line

    def _edits(self, table: LibraryObject, numbers: Sequence[int], names: Sequence[str]) -> dict[int, Row]:
        """The changed and new fields of each row that has some, by its index in the table."""
        edits: dict[int, Row] = {}
        before = self._read(self._dataset, list(numbers))
        for name in names:
            after = table.column(name)
            field_type = self._handed.types.get(name)
            if field_type is None or name in self._handed.media:
                # A new field, or one whose paths were made absolute, which another folder would not resolve.
                handed_values = _values(before.column(name)) if field_type is not None else None
                for index, value in enumerate(_own_values(after) if name in (STATS, META) else _values(after)):
                    if handed_values is None or value is not None:
                        edits.setdefault(index, {})[name] = value
                continue
            for index, value in _changes(before.column(name), after, field_type):
                edits.setdefault(index, {})[name] = value
        return edits


def _numbers(table: LibraryObject) -> list[int] | None:
    """The row numbers; None where rows were made of several."""
    import pyarrow.types as pt

    if ROW not in table.column_names or not pt.is_integer(table.column(ROW).type):
        return None
    numbers: list[int] = table.column(ROW).to_pylist()
    return None if None in numbers else numbers


def _changes(before: LibraryObject, after: LibraryObject, field_type: FieldType) -> Iterator[tuple[int, JsonValue]]:
    """The indices and new values of a column's changed values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first, second = _storage(before), _storage(after)
    if first.type == second.type and not pa.types.is_nested(first.type):
        same = pc.or_(pc.fill_null(pc.equal(first, second), False), pc.and_(pc.is_null(first), pc.is_null(second)))
        if pc.all(same, min_count=0).as_py():
            return
        indices = pc.indices_nonzero(pc.invert(same)).to_pylist()
    elif first.equals(second):
        return
    else:
        indices = list(range(len(first)))
    old_values, new_values = _values(before.take(indices)), _values(after.take(indices))
    for index, old, new in zip(indices, old_values, new_values, strict=True):
        if not _same(old, new):
            yield index, new


def _same(old: Any, new: Any) -> bool:
    """Whether a value came back as it went in. Arrow may have added null for keys that other rows have."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(_same(old.get(key), new.get(key)) for key in old.keys() | new.keys())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, bool) != isinstance(new, bool):
        return False
    return bool(old == new) or (old != old and new != new)


def _own_values(column: LibraryObject) -> list[JsonValue]:
    """The values of a column of stats or tags, which Ray hands on as JSON texts."""
    return [json.loads(value) if isinstance(value, str) else value for value in _values(column)]


def _values(column: LibraryObject) -> list[JsonValue]:
    """The values of a column as JSON values."""
    import pyarrow as pa

    from data_juicer_sandbox.components.io.nested import converter
    from data_juicer_sandbox.components.io.values import values

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if convert := converter(column.type, lambda leaf: json.loads if isinstance(leaf, pa.JsonType) else None):
        return [None if value is None else convert(value) for value in column.to_pylist()]
    return values(column)


def _storage(column: LibraryObject) -> LibraryObject:
    """The column without an extension type."""
    import pyarrow as pa

    if isinstance(column.type, pa.BaseExtensionType):
        return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    return column
