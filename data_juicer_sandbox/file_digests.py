"""Digests of files, folders and patterns, and keys that change with every write."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import xxhash

from data_juicer_sandbox.file_listing import matching_files
from data_juicer_sandbox.files import TEMPORARY, is_pattern, is_special
from data_juicer_sandbox.output_folders import MARKER

CHUNK = 1 << 20

TICK = 20_000_000
"""Nanoseconds. A file may change twice within one tick of the file system's clock, at most 10 ms on Linux."""

MANY = 64
"""Number of files from which they are read in threads."""
READERS = 8
GROUP = 64
"""Files that a thread reads in one go."""
SMALL = 64 << 10
"""Bytes up to which a file is held in memory as a whole; `READERS` groups of such files take 32 MiB."""

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
    return _quick_key(scan(Path(path)))


def _quick_key(files: Sequence[ScannedFile]) -> str:
    if len(files) == 1 and not files[0].name:
        return state_key(files[0].status)
    hashed = xxhash.xxh3_128()
    for file in files:
        hashed.update(os.fsencode(f"{file.name}\0{state_key(file.status)}\0"))
    return str(hashed.hexdigest())


def state_key(status: os.stat_result) -> str:
    """The quick key of a file, computed from its status."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def last_change(path: str | Path) -> int:
    """The latest ctime of a file, or of the files of a folder, in nanoseconds since the epoch."""
    return _last_change(Path(path), scan(Path(path)))


def _last_change(path: Path, files: Sequence[ScannedFile]) -> int:
    return max((file.status.st_ctime_ns for file in files), default=0) or path.stat().st_ctime_ns


def total_size(path: str | Path) -> int:
    """Bytes of a file, or of all files of a folder or a pattern."""
    return sum(file.status.st_size for file in scan(Path(path)))


def content_stamp(path: str | Path) -> tuple[str, str]:
    """The quick key and the content digest of a file, folder or pattern, read once as long as the key stays.

    The key is empty where it cannot be relied on: reading began less than a tick after the last change, so another
    change might have left the same times. Such a file is read again the next time.

    Raises:
        OSError: it does not exist, or cannot be read.
    """
    path = Path(path)
    files = scan(path)
    key = _quick_key(files)
    stamp = _content_stamps.get(str(path))
    if stamp is not None and stamp[0] == key:
        return stamp
    changed = _last_change(path, files)
    age = time.time_ns() - changed
    if 0 <= age <= TICK and sum(file.status.st_size for file in files) >= SLOW_TO_READ:
        time.sleep((TICK - age) / 1e9 + 0.001)
        age = time.time_ns() - changed
    content = digest_of_files(path, files)
    reliable = age > TICK and quick_key(path) == key
    stamp = _content_stamps[str(path)] = (key if reliable else "", content)
    return stamp


def digest(path: str | Path) -> str:
    """128-bit XXH3 of a file's bytes, or of the names and bytes of a folder's or a pattern's files, in hex."""
    path = Path(path)
    return digest_of_files(path, scan(path))


def digest_of_files(path: Path, files: Sequence[ScannedFile]) -> str:
    """The digest of a file, folder or pattern whose files are known from `scan`."""
    if is_special(path):
        raise OSError(errno.EINVAL, "a pipe or device", str(path))
    state = xxhash.xxh3_128()
    for file, content in _contents(files):
        if file.name:
            state.update(os.fsencode(file.name) + b"\0")
        for chunk in content:
            state.update(chunk)
    return str(state.hexdigest())


def _contents(files: Sequence[ScannedFile]) -> Iterator[tuple[ScannedFile, Iterable[bytes]]]:
    """The files with their bytes, in order.

    Many small files are read ahead in threads: a disk or a server that takes long to open a file then works on several.
    """
    if len(files) < MANY:
        for file in files:
            yield file, _chunks(file.path)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(READERS) as pool:
        pending: deque[tuple[list[ScannedFile], Future[list[bytes | None]]]] = deque()
        groups = iter(_groups(files))
        try:
            while True:
                for group in islice(groups, READERS + 1 - len(pending)):
                    pending.append((group, pool.submit(_read_all, group)))
                if not pending:
                    return
                group, future = pending.popleft()
                for file, content in zip(group, future.result(), strict=True):
                    yield file, _chunks(file.path) if content is None else (content,)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _groups(files: Sequence[ScannedFile]) -> Iterator[list[ScannedFile]]:
    return (list(files[start : start + GROUP]) for start in range(0, len(files), GROUP))


def _read_all(files: Sequence[ScannedFile]) -> list[bytes | None]:
    """The content of files; None for those that are too large to be held in memory."""
    return [_read(file.path, file.status.st_size) if file.status.st_size <= SMALL else None for file in files]


def _read(path: str, size: int) -> bytes | None:
    """The content of a file of this size; None if it has become larger."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, size + 1)
        return content if len(content) == size else None
    finally:
        os.close(descriptor)


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  # a path of `scan` is a text
        while chunk := stream.read(CHUNK):
            yield chunk


class ScannedFile(NamedTuple):
    """A file of a folder or a pattern.

    Args:
        name: its path relative to the folder, or its path if it matches a pattern; empty for a file itself.
        path: its path.
        status: its status, links followed.
    """

    name: str
    path: str
    status: os.stat_result


def scan(path: Path) -> list[ScannedFile]:
    """The files of `walk` with their status, which is read once.

    Raises:
        FileNotFoundError: it does not exist, or no file matches the pattern.
    """
    if path.is_dir():
        files: list[ScannedFile] = []
        _scan(str(path), "", set(), files)
        return files
    if is_pattern(path):
        return [ScannedFile(str(file), str(file), file.stat()) for file in _matching_files(path)]
    return [ScannedFile("", str(path), path.stat())]


def _scan(folder: str, prefix: str, folders: set[tuple[int, int]], files: list[ScannedFile]) -> None:
    status = os.stat(folder)  # noqa: PTH116
    if (status.st_dev, status.st_ino) in folders:  # a link in a circle, or a second one to the same folder
        return
    folders.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        children = sorted(entries, key=lambda entry: entry.name)
    for child in children:
        if child.name == MARKER or TEMPORARY.fullmatch(child.name):
            continue
        if _is(child.is_dir):
            _scan(child.path, f"{prefix}{child.name}{os.sep}", folders, files)
        elif _is(child.is_file):  # not a pipe or device: reading one may never end
            files.append(ScannedFile(prefix + child.name, child.path, child.stat()))


def _is(test: Callable[[], bool]) -> bool:
    """The answer of `is_dir` or `is_file`, which raise an error for a link to itself."""
    try:
        return test()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise


def walk(path: Path) -> Iterator[Path]:
    """The file itself, or all files of a folder or a pattern in a stable order; no temporary ones (`temporary_path`),
    no markers.

    Raises:
        FileNotFoundError: no file matches the pattern.
    """
    if path.is_dir() or is_pattern(path):
        yield from (Path(file.path) for file in scan(path))
    else:
        yield path


def _matching_files(pattern: Path) -> list[Path]:
    files = matching_files(pattern)
    if not files:
        raise FileNotFoundError(errno.ENOENT, "no file matches", str(pattern))
    return files
