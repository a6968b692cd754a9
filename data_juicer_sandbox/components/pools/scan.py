"""Reading a stretch of a pool: where its rows are, which lines are none, and what a look sees in them."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.components.pools.scanners import RowScanner

if TYPE_CHECKING:
    import numpy as np

STRETCH = 8 << 20
"""Bytes of a stretch: what a worker holds at a time."""


@dataclass(frozen=True)
class Chunk:
    """Some whole lines of a file of JSON lines."""

    file: Path
    start: int
    end: int


@dataclass
class Scan:
    """What is in a stretch."""

    starts: np.ndarray
    """int64, the byte at which each row starts."""
    lengths: np.ndarray
    """uint32, the bytes of each row, its line end among them; int64 where one has 4 GiB or more."""
    bad: list[tuple[int, str]]
    """The lines that are no rows: where they start, and why."""
    told: Any
    digest: bytes


def stretches(file: Path) -> list[Chunk]:
    """A file cut at line ends, into stretches of about `STRETCH` bytes (a line that is longer is one of its own).

    An empty file is one stretch, in which a look sees nothing.
    """
    found: list[Chunk] = []
    with file.open("rb") as stream:
        size, start = os.fstat(stream.fileno()).st_size, 0
        while start < size or not found:
            stream.seek(min(start + STRETCH, size))
            stream.readline()
            found.append(Chunk(file, start, stream.tell()))
            start = stream.tell()
    return found


def scan(look: Callable[[], RowScanner], stretch: Chunk) -> Scan:
    """Find the rows of a stretch and look at each.

    Args:
        look: makes a new look.
        stretch: what to read.
    """
    import numpy as np

    with stretch.file.open("rb", buffering=0) as stream:
        data = os.pread(stream.fileno(), stretch.end - stretch.start, stretch.start)
    ends = line_ends(data)
    starts = np.empty_like(ends)
    starts[1:] = ends[:-1]
    starts[:1] = len(codecs.BOM_UTF8) if not stretch.start and data.startswith(codecs.BOM_UTF8) else 0
    eye = look()
    if _is_text(data) and _is_regular(data, starts, ends) and eye.see_all(data, len(ends)):
        return _scanned(stretch, starts, ends, [], eye, data)
    see = eye.see if _is_text(data) else partial(_see_text, eye.see)  # JSON readers pass over texts they do not need
    bad: list[tuple[int, str]] = []
    left_out: list[int] = []
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        line = data[start:end]
        try:
            see(line)
        except BadRow as error:
            left_out.append(number)
            if line and not line.isspace():
                bad.append((stretch.start + start, str(error)))
    if left_out:
        starts, ends = np.delete(starts, left_out), np.delete(ends, left_out)
    return _scanned(stretch, starts, ends, bad, eye, data)


def _scanned(
    stretch: Chunk, starts: np.ndarray, ends: np.ndarray, bad: list[tuple[int, str]], eye: RowScanner, data: bytes
) -> Scan:
    import numpy as np

    lengths = ends - starts
    if not len(lengths) or int(lengths.max()) < 1 << 32:
        lengths = lengths.astype(np.uint32)
    return Scan(starts + stretch.start, lengths, bad, eye.told(), xxhash.xxh3_128_digest(data))


def _is_regular(data: bytes, starts: np.ndarray, ends: np.ndarray) -> bool:
    """Whether every line is like `{...}` with a line break behind it.

    No JSON value goes over the end of such lines, since in none does `{` follow `}`: so where there are as many values
    as lines, each line is one.
    """
    import numpy as np

    signs = np.frombuffer(data, np.uint8)
    return (
        len(ends) > 0
        and data.endswith(b"\n")
        and bool((ends - starts > 2).all())
        and bool((signs[starts] == ord("{")).all() and (signs[ends - 2] == ord("}")).all())
    )


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _see_text(see: Callable[[bytes], None], line: bytes) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise BadRow(f"not a JSON row: {error}") from error
    see(line)


def line_ends(data: bytes) -> np.ndarray:
    """Where each line ends, behind its line break (int64); the last one needs none."""
    import numpy as np

    signs = np.frombuffer(data, np.uint8)
    piece = 1 << 18  # fits the cache with the mask that is made of it
    found = [np.flatnonzero(signs[at : at + piece] == 10) + at + 1 for at in range(0, len(signs), piece)]
    ends = np.concatenate(found) if found else np.empty(0, np.int64)
    return ends if not data or data.endswith(b"\n") else np.append(ends, len(data))
