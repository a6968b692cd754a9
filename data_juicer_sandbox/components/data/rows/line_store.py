"""The lines of all rows of a data set, by row number, in a file."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import xxhash

if TYPE_CHECKING:
    import numpy as np

_BATCH = 10_000


class LineStore:
    """Lines on the disk, in the order of their row numbers. Memory does not depend on their number.

    Args:
        folder: where its two files are written.
    """

    def __init__(self, folder: Path):
        self._lines, self._ends = folder / "lines.bin", folder / "line_ends.bin"
        self._data: BinaryIO = self._lines.open("wb", buffering=1 << 20)
        self._index = self._ends.open("wb")
        self._pending = array("Q")
        self._hash = xxhash.xxh3_128()
        self._size = 0
        self.rows = 0
        """The number of lines."""

    def add(self, line: bytes) -> None:
        """Append a line; a missing line break is added."""
        if not line.endswith(b"\n"):
            line += b"\n"
        self._data.write(line)
        self._hash.update(line)
        self._size += len(line)
        self._pending.append(self._size)
        self.rows += 1
        if len(self._pending) == _BATCH:
            self._flush()

    def finish(self) -> None:
        """End writing; the lines can be read from now on."""
        self._flush()
        self._data.close()
        self._index.close()

    @property
    def size(self) -> int:
        """Bytes of all lines."""
        return self._size

    def digest(self) -> str:
        """A digest of all lines."""
        return str(self._hash.hexdigest())

    def read(self, rows: Sequence[int]) -> list[bytes]:
        """The lines with these numbers."""
        import numpy as np

        if not self.rows or not len(rows):
            return []
        starts, stops = self._ranges(rows)
        with self._lines.open("rb") as stream:
            if len(rows) > 1 and bool((np.diff(np.asarray(rows)) == 1).all()):  # neighbours are read at once
                stream.seek(int(starts[0]))
                data = stream.read(int(stops[-1] - starts[0]))
                first = int(starts[0])
                return [data[a - first : b - first] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
            lines = []
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                stream.seek(start)
                lines.append(stream.read(stop - start))
            return lines

    def size_of(self, rows: Sequence[int]) -> int:
        """Bytes of the lines with these numbers."""
        if not len(rows):
            return 0
        starts, stops = self._ranges(rows)
        return int((stops - starts).sum())

    def _ranges(self, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The offsets at which the lines with these numbers start, and those behind them."""
        import numpy as np

        ends = np.memmap(self._ends, dtype=np.uint64, mode="r")
        numbers = np.asarray(rows, dtype=np.int64)
        starts = np.where(numbers > 0, ends[np.maximum(numbers, 1) - 1].astype(np.int64), 0)
        return starts, ends[numbers].astype(np.int64)

    def __iter__(self) -> Iterator[bytes]:
        with self._lines.open("rb", buffering=1 << 20) as stream:
            yield from stream

    def _flush(self) -> None:
        self._pending.tofile(self._index)
        del self._pending[:]
