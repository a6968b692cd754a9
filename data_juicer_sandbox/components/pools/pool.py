"""A data pool on disk: where each of its rows is, and the rows of any choice of numbers, byte for byte."""

from __future__ import annotations

import bisect
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_juicer_sandbox.components.io.columns import Columns
from data_juicer_sandbox.errors import JobError, Where

if TYPE_CHECKING:
    import numpy as np

BLOCK = 4 << 20
"""Bytes given at a time."""
MAPPED = 256 << 20
"""Bytes of all pools of a job that may be mapped into memory, which is quickest. Larger ones are read piece by piece:
mapped pages count as resident memory, and the system maps far more of them than are touched."""
AT_ONCE = 1 << 18
"""Rows whose places are looked up at a time."""
OPEN = 200
"""Files of a pool that are open at a time: each holds a file descriptor, of which there are often 1,024."""


@dataclass
class Pool:
    """The rows of a data set.

    Its files are JSON lines, one behind the other: a row's place counts through all of them.
    """

    path: str
    """As the config names it."""
    name: str
    files: list[Path]
    """Plain JSON lines: the pool's own, or what was made of them."""
    bases: list[int]
    """The place at which each file starts, and behind the last one that at which the next would."""
    starts: np.ndarray
    """int64, the place of each row."""
    lengths: np.ndarray
    """uint32, or int64 where one is that long: the bytes of each row."""
    told: Any
    """What the look saw, joined."""
    digest: str
    """128-bit XXH3 over the content, and the types of its columns."""
    open_ends: set[int]
    """The places of ends of files whose last line has no line end; it gets one where it goes."""
    columns: Columns | None = None
    """Those of its tables, where all its files were parquet."""
    may_map: int = MAPPED
    """Bytes of this pool that may be mapped."""
    _open: dict[int, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def blocks(self, rows: np.ndarray | None = None) -> Iterator[bytes | memoryview]:
        """The bytes of rows, each with its line end, in pieces of some megabytes.

        Args:
            rows: the numbers of the rows, from 0, in the order wanted; all rows by default.
        """
        count = len(self) if rows is None else len(rows)
        for at in range(0, count, AT_ONCE):
            chosen = slice(at, at + AT_ONCE) if rows is None else rows[at : at + AT_ONCE]
            starts = self.starts[chosen]
            yield from self._some(starts, starts + self.lengths[chosen])

    def _some(self, starts: np.ndarray, ends: np.ndarray) -> Iterator[bytes | memoryview]:
        import numpy as np

        # Rows that lie one behind the other in one file are one run, however many.
        apart = starts[1:] != ends[:-1]
        if len(self.files) > 1:
            apart |= np.isin(starts[1:], self.bases)
        breaks = np.flatnonzero(apart) + 1
        first, last = starts[np.append(0, breaks)], ends[np.append(breaks - 1, len(ends) - 1)]
        sizes = np.cumsum(last - first)
        at = 0
        while at < len(first):
            done = int(sizes[at - 1]) if at else 0
            upto = max(at + 1, int(np.searchsorted(sizes, done + BLOCK, side="right")))
            if upto == at + 1:
                yield from self._long_run(int(first[at]), int(last[at]))
            else:
                yield self._runs(first[at:upto], last[at:upto])
            at = upto

    def _long_run(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        number = bisect.bisect_right(self.bases, start) - 1
        base, data = self.bases[number], self._data(number)
        for at in range(start, end, BLOCK):
            yield data[at - base : min(at + BLOCK, end) - base]
        if end in self.open_ends:
            yield b"\n"

    def _runs(self, first: np.ndarray, last: np.ndarray) -> bytes:
        import numpy as np

        if len(self.files) == 1 and not self.open_ends:
            data = self._data(0)
            return b"".join([data[start:end] for start, end in zip(first.tolist(), last.tolist(), strict=True)])
        numbers = (np.searchsorted(self.bases, first, side="right") - 1).tolist()
        pieces = []
        for number, start, end in zip(numbers, first.tolist(), last.tolist(), strict=True):
            base = self.bases[number]
            pieces.append(self._data(number)[start - base : end - base])
            if end in self.open_ends:
                pieces.append(b"\n")
        return b"".join(pieces)

    def _data(self, number: int) -> Any:
        """A file's bytes, to be sliced."""
        if number not in self._open:
            while len(self._open) >= OPEN:
                self._open.pop(next(iter(self._open)))
            if self.bases[-1] > self.may_map:
                self._open[number] = _File(self.files[number])
            else:
                with self.files[number].open("rb") as stream:
                    self._open[number] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return self._open[number]


class _File:
    """A file that is sliced like bytes, each slice read from the disk (or what the system holds of it)."""

    def __init__(self, path: Path):
        self._path, self._stream = path, path.open("rb", buffering=0)
        self._number = self._stream.fileno()

    def __getitem__(self, part: slice) -> bytes:
        data = os.pread(self._number, part.stop - part.start, part.start)
        if len(data) < part.stop - part.start:
            raise JobError("the file became shorter while it was read", where=Where(str(self._path)))
        return data
