"""What Data-Juicer gets of a data set: an Arrow file with row numbers and the fields that its OPs need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType

from loguru import logger

from data_juicer_sandbox.components.data.row_depth import MAX_DEPTH, depth
from data_juicer_sandbox.components.data.rows.field_types import (
    FieldType,
    array_of,
    arrow_type,
    common_type,
    has_surrogate,
    type_name,
    type_of,
)
from data_juicer_sandbox.components.data.rows.line_store import LineStore
from data_juicer_sandbox.components.data.rows.needed_fields import NeededFields
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.types import JsonValue, LibraryObject, Row

ROW = "__dj_sandbox_row__"
"""The column with the row numbers."""
SUFFIX = "__dj__suffix__"
"""The column with the ending of a row's file, for `suffix_filter`."""
STATS, META = "__dj__stats__", "__dj__meta__"
OWN_MAPPINGS = (STATS, META)
"""Data-Juicer's own fields that hold mappings."""
_ROWS = 2_000
_BYTES = 32 << 20
"""Maximum number of rows, and of bytes of their lines, in memory."""


@dataclass
class HandedRows:
    """A data set as Data-Juicer gets it.

    Attributes:
        arrow: the Arrow file.
        lines: the lines of its rows.
        types: the types of its fields.
        rows_in: number of rows read, with those that lack a text.
        ranges: the first row number of each source, and the number behind its last.
        media: fields with paths of images, audios and videos, which were made absolute.
    """

    arrow: Path
    lines: LineStore
    types: dict[str, FieldType] = field(default_factory=dict)
    rows_in: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    media: tuple[str, ...] = ()


@dataclass(frozen=True)
class Demands:
    """What the recipe demands of the rows.

    Attributes:
        fields: the fields that its OPs need.
        text_keys: fields without which a row is skipped.
        media_keys: fields with lists of paths, relative to the data set.
        suffixes: whether an OP needs the ending of each row's file.
        endings: the endings of the files that are read; all formats if there are none.
    """

    fields: NeededFields
    text_keys: tuple[str, ...] = ()
    media_keys: tuple[str, ...] = ()
    suffixes: bool = False
    endings: tuple[str, ...] = ()


def hand_over(paths: Sequence[str], demands: Demands, folder: Path, allowance: Allowance) -> HandedRows:
    """Read data sets once and write what Data-Juicer gets.

    Args:
        paths: files, folders or patterns.
        demands: what the recipe demands.
        folder: where the files are written.
        allowance: the number of bad rows that are tolerated.

    Raises:
        JobError: a row is bad, there are no rows, or no row has a text field of the recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reader = _Reader(demands, allowance)
    handed = HandedRows(folder / "rows.arrow", LineStore(folder), media=demands.media_keys)
    nested: dict[str, list[Sequence[str]]] = {}
    for key in demands.fields.nested:
        nested.setdefault(key[0], []).append(key[1:])
    writer = _Writer(handed.arrow, nested)
    for path in paths:
        start = handed.lines.rows
        for batch in _batches(reader.rows(path), handed.lines):
            writer.write(handed, batch)
        handed.ranges.append((start, handed.lines.rows))
    handed.lines.finish()
    writer.close()
    handed.rows_in = reader.rows_read
    reader.check(", ".join(paths))
    if writer.types_changed:  # a later row has a field, or a type, that the first ones lack
        writer = _Writer(handed.arrow, nested)
        rows = (reader.again(line, number) for number, line in enumerate(handed.lines))
        for batch in _batches(rows, None):
            writer.write(handed, batch, types_known=True)
        writer.close()
    return handed


@dataclass
class _HandedRow:
    line: bytes
    values: Row


class _Reader:
    """Reads rows, and takes the needed fields out of them."""

    def __init__(self, demands: Demands, allowance: Allowance):
        self._demands, self._allowance = demands, allowance
        self._bases: list[str] = []
        self._suffixes: list[str] = []
        self._starts: list[int] = []
        self._handed = 0
        self.rows_read = 0
        self._without = dict.fromkeys(demands.text_keys, 0)
        self._skipped = 0

    def rows(self, path: str) -> Iterator[_HandedRow]:
        base = path if Path(path).is_dir() else None
        for file in self._files(path):
            self._starts.append(self._handed)
            self._bases.append(str(Path(base or file.parent).absolute()))
            self._suffixes.append(file.suffix)
            for number, line in numbered_lines(file, self._allowance):
                try:
                    row = self._parsed(line)
                except BadRow as error:
                    self._allowance.skip(file, number, error)
                    continue
                self.rows_read += 1
                if self._has_texts(row):
                    self._handed += 1
                    yield _HandedRow(line, self._values(row, len(self._bases) - 1))

    def _files(self, path: str) -> list[Path]:
        files = data_files(path)
        endings = self._demands.endings
        if not endings:
            return files
        chosen = [file for file in files if file.name.endswith(endings)]
        if not chosen:
            raise JobError(f"no file of {path} ends in {', '.join(endings)}", hint="these are the recipe's `suffixes`")
        return chosen

    def again(self, line: bytes, number: int) -> _HandedRow:
        """A row that was read before."""
        from bisect import bisect_right

        return _HandedRow(line, self._values(parse(line), bisect_right(self._starts, number) - 1))

    def check(self, name: str) -> None:
        """Raise an error if there are no rows; log how many rows have no text."""
        if not self.rows_read:
            raise JobError(f"{name} has no rows", hint="it is empty, or all its rows were skipped as bad")
        for key, count in self._without.items():
            if count == self.rows_read:
                raise JobError(
                    f"no row of {name} has a text in the field {key!r}",
                    hint="set `text_keys` in the recipe to the field with the text",
                )
        if self._skipped:
            logger.warning("{} of {} rows have no text; they are skipped", self._skipped, self.rows_read)

    def _parsed(self, line: bytes) -> Row:
        # Counting brackets is fast, and excludes almost all lines from the exact check.
        if line.count(b"[") + line.count(b"{") > MAX_DEPTH and depth(line) > MAX_DEPTH:
            raise BadRow(f"a row that is nested more than {MAX_DEPTH} levels deep")
        row = parse(line)
        for name, op in self._demands.fields.texts.items():
            value = row.get(name)
            if isinstance(value, str):
                if (b"\\u" in line or b"\xed" in line) and has_surrogate(value):
                    raise BadRow(f"the text in {name!r} contains half of a surrogate pair")
            elif value is not None and not isinstance(value, list):
                raise BadRow(f"the field {name!r} is {type_name(value)}, but {op} needs a text")
        for path, op in self._demands.fields.nested.items():
            _check_mappings(row, path, op)
        for name in OWN_MAPPINGS:
            if not isinstance(row.get(name), (dict, NoneType)):
                raise BadRow(f"the field {name!r} is {type_name(row[name])}, but Data-Juicer needs a mapping")
        if ROW in row:
            raise BadRow(f"a row has the field {ROW!r}, which the sandbox uses for its row numbers")
        return row

    def _has_texts(self, row: Row) -> bool:
        missing = [key for key in self._demands.text_keys if _lookup(row, key) is None]
        for key in missing:
            self._without[key] += 1
        self._skipped += bool(missing)
        return not missing

    def _values(self, row: Row, file: int) -> Row:
        values = {name: row[name] for name in self._demands.fields.of(row)}
        for name in OWN_MAPPINGS:
            if name in values and values[name] is None:
                del values[name]
        for key in self._demands.media_keys:
            paths = values.get(key)
            if isinstance(paths, list) and all(isinstance(item, str) for item in paths):
                values[key] = [_absolute(item, self._bases[file]) for item in paths]
        if self._demands.suffixes:
            values[SUFFIX] = self._suffixes[file]
        return values


def _check_mappings(row: Row, path: tuple[str, ...], op: str) -> None:
    value: JsonValue = row
    for number, key in enumerate(path):
        if value is None:
            return  # counts as null, see `_with_key`
        if not isinstance(value, dict):
            name = ".".join(path[:number])
            raise BadRow(f"the field {name!r} is {type_name(value)}, but {op} needs {'.'.join(path)!r}")
        value = value.get(key)


def _with_key(value: JsonValue, keys: Sequence[str]) -> JsonValue:
    """A mapping with a key that it may lack, or that a mapping in it may lack. What is missing counts as null, as in a
    table, where OPs find every key in every row.
    """
    if not keys:
        return value
    mapping = value if isinstance(value, dict) else {}
    return {**mapping, keys[0]: _with_key(mapping.get(keys[0]), keys[1:])}


def _lookup(row: Row, key: str) -> JsonValue:
    value: JsonValue = row.get(key)
    if value is None and "." in key:
        value = row
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _absolute(path: str, base: str) -> str:
    """The absolute path of a file relative to `base`; other texts, such as addresses or encoded images, as they are."""
    absolute = os.path.join(base, path)  # noqa: PTH118
    return absolute if path and path_exists(absolute) else path


class _Batch:
    def __init__(self, first: int, rows: list[_HandedRow]):
        self.first, self.count = first, len(rows)
        names = dict.fromkeys(name for row in rows for name in row.values)
        self.columns = {name: [row.values.get(name) for row in rows] for name in names}


def _batches(rows: Iterable[_HandedRow], lines: LineStore | None) -> Iterator[_Batch]:
    """Group rows; their lines are stored if there is a store."""
    first = lines.rows if lines is not None else 0
    group: list[_HandedRow] = []
    size = 0
    for row in rows:
        if lines is not None:
            lines.add(row.line)
        group.append(row)
        size += len(row.line)
        if len(group) == _ROWS or size > _BYTES:
            yield _Batch(first, group)
            first, group, size = first + len(group), [], 0
    if group:
        yield _Batch(first, group)


class _Writer:
    """Writes batches to an Arrow file as long as their types are those of the first one.

    Args:
        path: the file.
        nested: by field, the keys that every mapping in it has.
    """

    def __init__(self, path: Path, nested: Mapping[str, Sequence[Sequence[str]]]):
        self._path, self._nested = path, nested
        self._stream: LibraryObject = None
        self._sink: LibraryObject = None
        self._schema: LibraryObject = None
        self._types: dict[str, FieldType] = {}
        self.types_changed = False

    def write(self, handed: HandedRows, batch: _Batch, *, types_known: bool = False) -> None:
        """Write a batch.

        Args:
            handed: the data set; its `types` are extended by those of the batch.
            batch: the rows.
            types_known: whether `types` are those of all rows.
        """
        import pyarrow as pa

        if not types_known:
            for name, values in batch.columns.items():
                before = handed.types.get(name, FieldType.NOTHING)
                handed.types[name] = common_type(before, type_of(values))
        if self._stream is None:
            self._open(handed.types)
        if self._types != handed.types and not _schema(handed.types).equals(self._schema):
            self.types_changed = True
            return
        columns = [pa.array(range(batch.first, batch.first + batch.count), pa.int64())]
        for name, field_type in self._types.items():
            values = batch.columns.get(name) or [None] * batch.count
            if field_type is FieldType.JSON:
                values = self._completed(name, values)
            columns.append(array_of(values, field_type))
        self._stream.write_batch(pa.record_batch(columns, schema=self._schema))

    def _completed(self, name: str, values: list[JsonValue]) -> list[JsonValue]:
        """Mappings with the keys that the OPs look for; a row without stats beside others has empty ones."""
        if name in OWN_MAPPINGS:
            return [{} if value is None else value for value in values]
        for keys in self._nested.get(name, ()):
            values = [_with_key(value, keys) for value in values]
        return values

    def close(self) -> None:
        """Complete the file."""
        if self._stream is None:
            self._open({})
        self._stream.close()
        self._sink.close()

    def _open(self, types: dict[str, FieldType]) -> None:
        import pyarrow as pa

        self._types, self._schema = dict(types), _schema(types)
        self._sink = pa.OSFile(str(self._path), "wb")
        self._stream = pa.ipc.new_stream(self._sink, self._schema)


def _schema(types: dict[str, FieldType]) -> LibraryObject:
    import pyarrow as pa

    return pa.schema([(ROW, pa.int64()), *((name, arrow_type(field_type)) for name, field_type in types.items())])
