"""New pools: what goes into each, and how it is written, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import xxhash

from data_juicer_sandbox.components.io.columns import Columns, merge_schemas
from data_juicer_sandbox.components.pools.manifest import OutputManifest
from data_juicer_sandbox.components.pools.pool import Pool
from data_juicer_sandbox.files import replacing

if TYPE_CHECKING:
    import numpy as np


class RowSource(Protocol):
    """What goes into a new pool. It is sent to whoever writes it, so it is small: its rows lie in what all share."""

    @property
    def rows(self) -> int:
        """How many rows."""

    def blocks(self, shared: Any) -> Iterator[bytes | memoryview]:
        """Their bytes, in pieces."""

    def sources(self, shared: Any) -> Sequence[Pool]:
        """The pools they come from."""

    def key(self) -> str:
        """What tells it from other contents that could be made of the same pools by the same recipe."""


@dataclass(frozen=True)
class RowSelection:
    """Rows of pools, one pool after the other. What is shared are the pools."""

    parts: tuple[tuple[int, np.ndarray | None], ...]
    """The number of a pool, and of its rows; None for all of them."""
    rows: int

    def blocks(self, shared: Sequence[Pool]) -> Iterator[bytes | memoryview]:
        """The rows' bytes."""
        for number, chosen in self.parts:
            yield from shared[number].blocks(chosen)

    def sources(self, shared: Sequence[Pool]) -> Sequence[Pool]:
        """The pools that have a part."""
        return [shared[number] for number in dict.fromkeys(number for number, _ in self.parts)]

    def key(self) -> str:
        """A digest of the rows' numbers."""
        state = xxhash.xxh3_128()
        for number, chosen in self.parts:
            state.update(f"{number} {'all' if chosen is None else len(chosen)} ".encode())
            if chosen is not None:
                state.update(chosen.data)
        return str(state.hexdigest())


@dataclass(frozen=True)
class Output:
    """A new pool."""

    path: Path
    content: RowSource


def write(shared: tuple[Any, OutputManifest], output: Output) -> None:
    """Write a new pool.

    Args:
        shared: what contents take their rows from, and where it is recorded that the pool is whole.
        output: the pool.
    """
    source, made = shared
    with replacing(output.path) as part:
        if output.path.suffix == ".parquet":
            from data_juicer_sandbox.components.io.parquet import write_parquet

            write_parquet(part, lambda: lines(output.content.blocks(source)), columns(source, output))
        else:
            with part.open("wb") as stream:
                for block in output.content.blocks(source):
                    stream.write(block)
    # Of the file in its place: a rename changes the status too.
    made.add(output.path, output.content.key(), output.path.stat())


def columns(source: Any, output: Output) -> Columns | None:
    """What is known of the columns of a new pool: something where it and all it is made of are parquet."""
    if output.path.suffix != ".parquet":
        return None
    return merge_schemas([pool.columns for pool in output.content.sources(source)])


def spelled_out(source: Any, outputs: Sequence[Output]) -> list[str]:
    """The columns of bytes, such as images, that new pools hold as texts in base64."""
    found: set[str] = set()
    for output in outputs:
        kept = columns(source, output) or Columns()
        for pool in output.content.sources(source):
            if pool.columns:
                found |= {name for name in pool.columns.of_bytes() if kept.types.get(name) is None}
    return sorted(found)


def lines(blocks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The rows in blocks, without their line ends."""
    for rows in whole_rows(blocks):
        yield from rows.removesuffix(b"\n").split(b"\n")


def whole_rows(blocks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The same bytes, cut where rows end."""
    rest = b""
    for block in blocks:
        data = rest + bytes(block)
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end]
        rest = data[end:]
    if rest:
        yield rest
