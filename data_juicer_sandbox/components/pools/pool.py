"""A data pool on disk: an index of row offsets, and byte-exact access to any selection of rows."""

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
"""Bytes per block that `Pool.blocks` yields."""
MAPPED = 256 << 20
"""Bytes of all pools of a job that may be mapped into memory, which is fastest. Larger pools are read with `pread`:
mapped pages count as resident memory, and the system maps far more pages than are accessed."""
AT_ONCE = 1 << 18
"""Rows whose offsets are looked up at a time."""
OPEN = 200
"""Files of a pool that are open at a time: each holds a file descriptor, and a process may often have only 1,024."""


@dataclass
class Pool:
    """The rows of a data set.

    Its JSON Lines files are treated as one concatenated byte stream; offsets count through all files.
    """

    path: str
    """The path as written in the config."""
    name: str
    files: list[Path]
    """Uncompressed JSON Lines: the pool's own files, or converted copies of them."""
    bases: list[int]
    """The offset at which each file starts, and, as last entry, the total size."""
    starts: np.ndarray
    """int64, the offset of each row."""
    lengths: np.ndarray
    """The size of each row in bytes: uint32, or int64 if a row has 4 GiB or more."""
    scan_result: Any
    """What the row scanner collected, over all chunks."""
    digest: str
    """128-bit XXH3 of the content and the column types."""
    open_ends: set[int]
    """End offsets of files whose last line has no line break; one is added when such a row is read."""
    columns: Columns | None = None
    """The column types, if all files of the pool are parquet."""
    may_map: int = MAPPED
    """Bytes of this pool that may be mapped."""
    _open: dict[int, mmap.mmap | _File] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": {}}

    def blocks(self, rows: np.ndarray | None = None) -> Iterator[bytes | memoryview]:
        """Yield the bytes of rows, each with its line break, in blocks of some megabytes.

        Args:
            rows: row numbers from 0, in output order; all rows by default.
        """
        count = len(self) if rows is None else len(rows)
        for at in range(0, count, AT_ONCE):
            selection = slice(at, at + AT_ONCE) if rows is None else rows[at : at + AT_ONCE]
            starts = self.starts[selection]
            yield from self._row_blocks(starts, starts + self.lengths[selection])

    def _row_blocks(self, starts: np.ndarray, ends: np.ndarray) -> Iterator[bytes | memoryview]:
        import numpy as np

        # Adjacent rows of one file form one run, which is read at once.
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

    def _data(self, number: int) -> mmap.mmap | _File:
        """A file's bytes, as an object that supports slices."""
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
    """A file that supports slices like bytes; each slice is read from disk or the page cache."""

    def __init__(self, path: Path):
        self._path, self._stream = path, path.open("rb", buffering=0)
        self._number = self._stream.fileno()

    def __getitem__(self, part: slice) -> bytes:
        data = os.pread(self._number, part.stop - part.start, part.start)
        if len(data) < part.stop - part.start:
            raise JobError("the file became shorter while it was read", where=Where(str(self._path)))
        return data
