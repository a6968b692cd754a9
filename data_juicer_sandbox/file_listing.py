"""The files of folders and patterns: names in order, hidden ones left out, links in circles followed once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

_SIGNS = re.compile(r"[*?\[]")
_Inode = tuple[int, int]


def folder_files(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders. A folder that several links lead to is read once."""
    yield from _walk(folder, set())


def matching_files(pattern: str | Path) -> list[Path]:
    """The files that match a pattern, sorted by path, each once.

    `*`, `?` and `[...]` match parts of a name, `**` any folders. A part of the pattern that exists as it is written is
    meant literally. A hidden file or folder matches only a part that begins with a dot.
    """
    path = Path(pattern)
    base = Path(path.anchor)
    parts = path.parts[1:] if path.anchor else path.parts
    return list(distinct(sorted(set(_matches(base, parts)))))


def has_match(pattern: str | Path) -> bool:
    """Whether a file or folder matches a pattern."""
    path = Path(pattern)
    parts = path.parts[1:] if path.anchor else path.parts
    return any(True for _ in _matches(Path(path.anchor), parts, folders=True))


def distinct(files: Iterable[Path]) -> Iterator[Path]:
    """The files without those that are the same file, by device and inode, as an earlier one."""
    inodes: set[_Inode] = set()
    for file in files:
        inode = _inode(file)
        if inode not in inodes:
            inodes.add(inode)
            yield file


def is_hidden(path: Path) -> bool:
    """Whether a file or folder has a name that begins with a dot."""
    return path.name.startswith(".")


def _walk(folder: Path, visited: set[_Inode]) -> Iterator[Path]:
    if (inode := _inode(folder)) in visited:
        return
    visited.add(inode)
    for child in sorted(folder.iterdir()):
        if is_hidden(child):
            continue
        if child.is_dir():
            yield from _walk(child, visited)
        elif child.is_file():
            yield child


def _matches(
    base: Path, parts: Sequence[str], visited: set[_Inode] | None = None, *, folders: bool = False
) -> Iterator[Path]:
    if not parts:
        if base.is_file() or (folders and base.is_dir()):
            yield base
        return
    if not base.is_dir():
        return
    name, rest = parts[0], parts[1:]
    if name == "**":
        visited = set() if visited is None else visited
        if (inode := _inode(base)) in visited:
            return
        visited.add(inode)
        yield from _matches(base, rest or ["*"], folders=folders)
        for child in _children(base, "*"):
            if child.is_dir():
                yield from _matches(child, parts, visited, folders=folders)
    elif _SIGNS.search(name) and not (base / name).exists():
        for child in _children(base, name):
            yield from _matches(child, rest, folders=folders)
    else:
        yield from _matches(base / name, rest, folders=folders)


def _children(folder: Path, pattern: str) -> list[Path]:
    hidden = pattern.startswith(".")
    try:
        children = sorted(folder.iterdir())
    except PermissionError:
        return []
    return [child for child in children if fnmatchcase(child.name, pattern) and hidden == is_hidden(child)]


def _inode(path: Path) -> _Inode:
    status = path.stat()
    return status.st_dev, status.st_ino
