"""New pools: the rows of each, their atomic writing, and the manifest of those that are finished."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import xxhash

from data_juicer_sandbox import __version__
from data_juicer_sandbox.components.io.columns import Columns, merge_schemas
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.file_digests import state_key
from data_juicer_sandbox.files import open_append, replacing
from data_juicer_sandbox.types import JsonValue

if TYPE_CHECKING:
    import numpy as np


class OutputManifest:
    """The finished outputs of a job, one line each in `made.jsonl` in the job's folder.

    An entry is valid if the file's size and mtime are unchanged and its content key and recipe match. The process that
    writes an output adds its entry, so that every finished output is recorded. An output whose line is damaged is
    written again.

    Args:
        folder: the job's folder.
        recipe: all settings and inputs, besides the content key, that determine the outputs' bytes; plain values.
    """

    def __init__(self, folder: Path, recipe: JsonValue):
        self._file = folder.absolute() / "made.jsonl"
        self._recipe = json.dumps([__version__, recipe], sort_keys=True, default=str)
        self._entries: dict[str, list[object]] = {}
        if self._file.is_file():
            for line in self._file.read_bytes().splitlines():
                try:
                    path, *entry = json.loads(line)
                except (ValueError, TypeError, RecursionError):  # damaged, or written in part by a killed run
                    continue
                if isinstance(path, str):
                    self._entries[path] = entry

    def has(self, path: Path, key: str) -> bool:
        """Whether the manifest has a valid entry for an output with this content key."""
        entry = self._entries.get(str(path))
        try:
            return entry is not None and entry == self._entry(key, path.stat())
        except OSError:
            return False

    def add(self, path: Path, key: str, state: os.stat_result) -> None:
        """Record a finished output."""
        # The leading line break ends a line that a killed run left incomplete. It is a single write, since other
        # processes may append at the same time.
        line = "\n" + json.dumps([str(path), *self._entry(key, state)]) + "\n"
        with open_append(self._file) as stream:
            stream.write(line.encode())

    def _entry(self, key: str, state: os.stat_result) -> list[object]:
        recipe_digest = xxhash.xxh3_128_hexdigest(f"{self._recipe}\n{key}".encode())
        return [recipe_digest, state_key(state)]


class RowSource(Protocol):
    """The rows of a new pool. It is pickled for workers, so it is small: it refers to rows in the shared data."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def blocks(self, shared: Any) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the rows, in blocks."""

    def sources(self, shared: Any) -> Sequence[Pool]:
        """The pools that the rows are taken from."""

    def key(self) -> str:
        """A key that distinguishes it from other row sources over the same pools with the same recipe."""


@dataclass(frozen=True)
class RowSelection:
    """Selected rows of pools, one pool after the other. `shared` is the sequence of pools."""

    parts: tuple[tuple[int, np.ndarray | None], ...]
    """Index of a pool and the numbers of its rows; None for all rows."""
    rows: int

    def blocks(self, shared: Sequence[Pool]) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the rows, in blocks."""
        for number, selected in self.parts:
            yield from shared[number].blocks(selected)

    def sources(self, shared: Sequence[Pool]) -> Sequence[Pool]:
        """The pools with selected rows."""
        return [shared[number] for number in dict.fromkeys(number for number, _ in self.parts)]

    def key(self) -> str:
        """A digest of the pool indices and row numbers."""
        state = xxhash.xxh3_128()
        for number, selected in self.parts:
            state.update(f"{number} {'all' if selected is None else len(selected)} ".encode())
            if selected is not None:
                state.update(selected.data)
        return str(state.hexdigest())


@dataclass(frozen=True)
class Output:
    """A new pool."""

    path: Path
    content: RowSource


def write(shared: tuple[Any, OutputManifest], output: Output) -> None:
    """Write a new pool.

    Args:
        shared: the data that row sources read from, and the manifest that records finished outputs.
        output: the new pool.
    """
    source, manifest = shared
    with replacing(output.path) as part:
        if output.path.suffix == ".parquet":
            from data_juicer_sandbox.components.io.parquet import write_parquet

            write_parquet(part, lambda: lines(output.content.blocks(source)), columns(source, output))
        else:
            with part.open("wb") as stream:
                for block in output.content.blocks(source):
                    stream.write(block)
    # After the rename, since a rename changes the file's ctime.
    manifest.add(output.path, output.content.key(), output.path.stat())


def columns(source: Any, output: Output) -> Columns | None:
    """The column types of a new pool; None unless it and all its sources are parquet."""
    if output.path.suffix != ".parquet":
        return None
    return merge_schemas([pool.columns for pool in output.content.sources(source)])


def base64_columns(source: Any, outputs: Sequence[Output]) -> list[str]:
    """The binary columns, such as images, that become base64 strings in the new pools."""
    names: set[str] = set()
    for output in outputs:
        output_columns = columns(source, output) or Columns()
        for pool in output.content.sources(source):
            if pool.columns:
                names |= {name for name in pool.columns.of_bytes() if output_columns.types.get(name) is None}
    return sorted(names)


def lines(blocks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the rows in blocks of bytes, without their line breaks."""
    for rows in whole_rows(blocks):
        yield from rows.removesuffix(b"\n").split(b"\n")


def whole_rows(blocks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the same bytes as blocks that end at row ends."""
    rest = b""
    for block in blocks:
        data = rest + bytes(block)
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end]
        rest = data[end:]
    if rest:
        yield rest
