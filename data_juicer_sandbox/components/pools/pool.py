"""A data pool on disk: where each of its rows is, and the rows of any choice of numbers, byte for byte."""

from __future__ import annotations

import bisect
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_juicer_sandbox.components.rows.columns import Columns

if TYPE_CHECKING:
    import numpy as np

BLOCK = 4 << 20
"""Bytes given at a time."""
MAPPED = 256 << 20
"""Bytes of all pools of a job that may stay mapped into memory. Of larger ones, what was touched is given back after
each block: such pages count as resident memory, though the system may take them away."""
OPEN = 200
"""Files of a pool that are mapped at a time: each holds a file descriptor, of which there are often 1,024."""


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
    may_stay: int = MAPPED
    """Bytes of this pool that may stay mapped."""
    _maps: dict[int, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}

    def blocks(self, rows: np.ndarray | None = None) -> Iterator[bytes | memoryview]:
        """The bytes of rows, each with its line end, in pieces of some megabytes.

        Args:
            rows: the numbers of the rows, from 0, in the order wanted; all rows by default.
        """
        import numpy as np

        starts = self.starts if rows is None else self.starts[rows]
        if not len(starts):
            return
        ends = starts + (self.lengths if rows is None else self.lengths[rows])
        # Rows that lie one behind the other in one file are one run, however many.
        apart = starts[1:] != ends[:-1]
        if len(self.files) > 1:
            apart |= np.isin(starts[1:], self.bases)
        breaks = np.flatnonzero(apart) + 1
        first, last = starts[np.append(0, breaks)], ends[np.append(breaks - 1, len(ends) - 1)]
        del starts, ends
        sizes = np.cumsum(last - first)
        at = 0
        while at < len(first):
            done = int(sizes[at - 1]) if at else 0
            upto = max(at + 1, int(np.searchsorted(sizes, done + BLOCK, side="right")))
            if upto == at + 1:
                yield from self._long_run(int(first[at]), int(last[at]))
            else:
                yield self._runs(first[at:upto], last[at:upto])
            self._give_back()
            at = upto

    def _long_run(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        number = bisect.bisect_right(self.bases, start) - 1
        base, view = self.bases[number], memoryview(self._map(number))
        for at in range(start, end, BLOCK):
            yield view[at - base : min(at + BLOCK, end) - base]
            self._give_back()
        if end in self.open_ends:
            yield b"\n"

    def _runs(self, first: np.ndarray, last: np.ndarray) -> bytes:
        import numpy as np

        if len(self.files) == 1 and not self.open_ends:
            data = self._map(0)
            return b"".join([data[start:end] for start, end in zip(first.tolist(), last.tolist(), strict=True)])
        numbers = (np.searchsorted(self.bases, first, side="right") - 1).tolist()
        pieces = []
        for number, start, end in zip(numbers, first.tolist(), last.tolist(), strict=True):
            base = self.bases[number]
            pieces.append(self._map(number)[start - base : end - base])
            if end in self.open_ends:
                pieces.append(b"\n")
        return b"".join(pieces)

    def _map(self, number: int) -> Any:
        if number not in self._maps:
            while len(self._maps) >= OPEN:
                self._maps.pop(next(iter(self._maps)))
            with self.files[number].open("rb") as stream:
                self._maps[number] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[number]

    def _give_back(self) -> None:
        if self.bases[-1] > self.may_stay:
            for data in self._maps.values():
                data.madvise(mmap.MADV_DONTNEED)
