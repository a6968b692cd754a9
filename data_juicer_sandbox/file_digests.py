"""Digests of files, folders and patterns, and keys that change with every write."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import xxhash

from data_juicer_sandbox.file_listing import matching_files
from data_juicer_sandbox.files import TEMPORARY, is_pattern, is_special
from data_juicer_sandbox.output_folders import MARKER

CHUNK = 1 << 20

TICK = 20_000_000
"""Nanoseconds. A file may change twice within one tick of the file system's clock, at most 10 ms on Linux."""

SLOW_TO_READ = 64 << 20
"""Bytes above which waiting for one tick is cheaper than reading the file again."""

_content_stamps: dict[str, tuple[str, str]] = {}


def quick_key(path: str | Path) -> str:
    """A key that changes with every write to a file, computed without reading it: size, mtime, ctime and inode. For a
    folder or a pattern: those of every file, by name.

    The time of the last status change (ctime) is among them: unlike size and mtime, no program can set it back.

    Raises:
        OSError: it does not exist, or cannot be accessed.
    """
    path = Path(path)
    if not path.is_dir() and not is_pattern(path):
        return state_key(path.stat())
    hashed = xxhash.xxh3_128()
    for file in walk(path):
        hashed.update(os.fsencode(f"{_name_within(file, path)}\0{state_key(file.stat())}\0"))
    return str(hashed.hexdigest())


def state_key(status: os.stat_result) -> str:
    """The quick key of a file, computed from its status."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def last_change(path: str | Path) -> int:
    """The latest ctime of a file, or of the files of a folder, in nanoseconds since the epoch."""
    path = Path(path)
    changes = [file.stat().st_ctime_ns for file in walk(path)]
    return max(changes) if changes else path.stat().st_ctime_ns


def total_size(path: str | Path) -> int:
    """Bytes of a file, or of all files of a folder or a pattern."""
    return sum(file.stat().st_size for file in walk(Path(path)))


def content_stamp(path: str | Path) -> tuple[str, str]:
    """The quick key and the content digest of a file, folder or pattern, read once as long as the key stays.

    The key is empty where it cannot be relied on: reading began less than a tick after the last change, so another
    change might have left the same times. Such a file is read again the next time.

    Raises:
        OSError: it does not exist, or cannot be read.
    """
    key = quick_key(path)
    stamp = _content_stamps.get(str(path))
    if stamp is not None and stamp[0] == key:
        return stamp
    age = time.time_ns() - last_change(path)
    if 0 <= age <= TICK and total_size(path) >= SLOW_TO_READ:
        time.sleep((TICK - age) / 1e9 + 0.001)
        age = time.time_ns() - last_change(path)
    content = digest(path)
    reliable = age > TICK and quick_key(path) == key
    stamp = _content_stamps[str(path)] = (key if reliable else "", content)
    return stamp


def digest(path: str | Path) -> str:
    """128-bit XXH3 of a file's bytes, or of the names and bytes of a folder's or a pattern's files, in hex."""
    path = Path(path)
    if is_special(path):
        raise OSError(errno.EINVAL, "a pipe or device", str(path))
    state = xxhash.xxh3_128()
    for file in walk(path):
        if file != path:
            state.update(os.fsencode(_name_within(file, path)) + b"\0")
        with file.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK):
                state.update(chunk)
    return str(state.hexdigest())


def walk(path: Path) -> Iterator[Path]:
    """The file itself, or all files of a folder or a pattern in a stable order; no temporary ones (`temporary_path`),
    no markers.

    Raises:
        FileNotFoundError: no file matches the pattern.
    """
    yield from _walk(path, set())


def _walk(path: Path, folders: set[tuple[int, int]]) -> Iterator[Path]:
    if path.is_dir():
        status = path.stat()
        if (status.st_dev, status.st_ino) in folders:  # a link in a circle, or a second one to the same folder
            return
        folders.add((status.st_dev, status.st_ino))
        for child in sorted(path.iterdir()):
            special = not child.is_file() and not child.is_dir()  # a pipe, a device: reading one may never end
            if not special and child.name != MARKER and not TEMPORARY.fullmatch(child.name):
                yield from _walk(child, folders)
    elif is_pattern(path):
        yield from _matching_files(path)
    else:
        yield path


def _matching_files(pattern: Path) -> list[Path]:
    files = matching_files(pattern)
    if not files:
        raise FileNotFoundError(errno.ENOENT, "no file matches", str(pattern))
    return files


def _name_within(file: Path, path: Path) -> str:
    """The name of a file of a folder, relative to it, or of a pattern."""
    return str(file.relative_to(path)) if path.is_dir() else str(file)
