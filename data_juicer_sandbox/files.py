"""Files that are whole or not there: written beside their place, then renamed into it. And what is in them: digests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

CHUNK = 1 << 20


@contextmanager
def replacing(path: str | Path, *, durable: bool = False, shared: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is gone when it does not.

    The block makes a file or a folder there, whichever it wants.

    Args:
        path: where the result belongs. Its parent folders are made. What stood there is replaced.
        durable: also wait until the disk has it (fsync), for what must outlast a power cut.
        shared: other processes may be writing the same file now. If not, the temporary path is the same each time,
            so that what a killed process left is swept away by the next one.
    """
    final = Path(path)
    if not final.parent.is_dir():
        final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.part{os.getpid() if shared else ''}")
    remove(part)
    try:
        yield part
        if durable:
            sync(part)
        if part.is_dir() or final.is_dir():  # rename(2) replaces a file by a file, but no full folder
            remove(final)
        part.replace(final)
        if durable:
            sync(final.parent)
    except BaseException:
        remove(part)
        raise


def is_there(text: str, *, file: bool = False) -> bool:
    """Whether a text is the path of something there, or of a file. Any text may be asked about, a long prompt too:
    pathlib raises for what is too long for a name.
    """
    return os.path.isfile(text) if file else os.path.exists(text)  # noqa: PTH110, PTH113


def sync(path: Path) -> None:
    """Wait until the disk holds this file, or this folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a folder with all it holds; nothing there is fine too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def digest(path: str | Path) -> str:
    """128-bit XXH3 of a file's bytes, or of a folder's relative names and bytes, in hex."""
    path = Path(path)
    state = xxhash.xxh3_128()
    for file in walk(path):
        if file != path:
            state.update(os.fsencode(str(file.relative_to(path))) + b"\0")
        with file.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK):
                state.update(chunk)
    return str(state.hexdigest())


def walk(path: Path) -> Iterator[Path]:
    """The file itself, or all files of a folder in a stable order; temporary ones (`.*.part*`) left out."""
    if path.is_dir():
        for child in sorted(path.iterdir()):
            if not (child.name.startswith(".") and ".part" in child.name):
                yield from walk(child)
    else:
        yield path
