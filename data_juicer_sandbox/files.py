"""Files and folders that appear complete or not at all, the guard of what a job may write.

Everything that is written goes through `replacing`, or is announced to `claim` before it is written. While a job runs,
a `WriteGuard` decides there which paths the job may write.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

import xxhash

from data_juicer_sandbox.errors import JobError, WorkDirError
from data_juicer_sandbox.output_folders import Owner, mark, refuse_foreign
from data_juicer_sandbox.output_lock import writing

_LONGEST_START = 180
TEMPORARY = re.compile(r"\..*\.part-[0-9a-f]{16}(?:-\d+|\.\w+)?", re.DOTALL)
"""The names that `temporary_path` makes."""
_PATTERN = re.compile(r"[*?\[]")


class WriteGuard(Protocol):
    """Decides what a job may write; see `output_guard.OutputGuard`."""

    @property
    def owner(self) -> Owner:
        """The job."""

    def claim(self, path: Path, *, folder: bool = False) -> None:
        """Refuse a path that the job must not write; rename a file there that no job of the run wrote."""

    def before_rename(self, part: Path, final: Path) -> None:
        """Record a file as written by the run, just before it is renamed to its final path."""


_guard: WriteGuard | None = None


@contextmanager
def guarded_by(guard: WriteGuard) -> Iterator[None]:
    """Set the guard that decides about all outputs of this process while the block runs."""
    global _guard
    before, _guard = _guard, guard
    try:
        yield
    finally:
        _guard = before


def output_owner() -> Owner:
    """The job that is running; an empty owner outside a run."""
    return _guard.owner if _guard is not None else Owner()


def real_path(path: str | Path) -> Path:
    """The absolute path with the links in its parents resolved as the system does (`link/..` is the parent of the
    link's target); a link at the path itself is not followed. Folders that do not exist yet count as folders.
    """
    text = os.fspath(path).rstrip("/") or "/"
    parent, name = os.path.split(text)
    if name in ("", ".", ".."):
        return Path(os.path.realpath(text))
    return Path(os.path.realpath(parent or "."), name)


def claim(path: str | Path, *, folder: bool = False) -> None:
    """Announce that the running job is going to write a path, before any work for it begins.

    `replacing` does so itself; call this for files that are written in another way, and early, where work for an
    output takes long.

    Args:
        path: the file, or the folder that is replaced as a whole.
        folder: whether it is such a folder.

    Raises:
        JobError: the path must not be written; says why.
    """
    if _guard is not None:
        _guard.claim(Path(path), folder=folder)
    else:
        refuse_replacing(real_path(path), folder, Owner())


def refuse_replacing(path: Path, folder: bool, owner: Owner) -> None:
    """Refuse to replace a folder by a file, a file by a folder, or a folder of another owner.

    Raises:
        JobError: one of these, or a device or pipe is there.
    """
    if path.is_symlink() or not path.exists():
        return
    if path.is_dir() and folder:
        refuse_foreign(path, owner)
    elif path.is_dir():
        raise JobError(f"{path} is a folder, but the job writes a file there", hint="choose another path")
    elif folder or not path.is_file():
        file_type = "file" if path.is_file() else "device or pipe"
        what = f"{path} is a {file_type}, but the job writes a {'folder' if folder else 'file'} there"
        raise JobError(what, hint="choose another path")


@contextmanager
def replacing(
    path: str | Path, *, durable: bool = False, shared: bool = False, folder: bool = False, owner: Owner | None = None
) -> Iterator[Path]:
    """A temporary path beside `path`. It is renamed to `path` if the block succeeds, and removed if the block fails.

    Args:
        path: the result. Its parent folders are created. An existing file is replaced; a folder only if
            `folder` is set, and the same owner wrote all that is in it.
        durable: also flush to disk (fsync), for files that must survive a power failure.
        shared: a cache that other processes may be writing now. If not, the temporary path is the same each time, so
            that the next run removes what a killed process left (see `temporary_path`).
        folder: the block creates a folder, not a file.
        owner: the job that writes a folder; the running job by default.

    Raises:
        JobError: the path must not be written, or another process is writing it; nothing was changed.
    """
    owner = owner or output_owner()
    if _guard is not None and not shared:
        _guard.claim(Path(path), folder=folder)
    final = real_path(path)  # what was judged is what is written, also if a folder in `a/../b` is yet to be created
    refuse_replacing(final, folder, owner)
    if not final.parent.is_dir():
        final.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_path(final, f"-{os.getpid()}" if shared else "")
    with nullcontext() if shared else writing(final, temporary_path(final, ".lock")):
        remove(part)
        try:
            yield part
            if folder:
                mark(part, owner)
            if durable:
                sync(part)
            refuse_replacing(final, folder, owner)  # once more: the work may have taken hours
            if _guard is not None and not shared and not folder:
                _guard.before_rename(part, final)
            if folder and not final.is_symlink():  # rename(2) does not replace a folder that holds something
                remove(final)
            part.replace(final)
            if durable:
                sync(final.parent)
        except BaseException:
            remove(part)
            raise


def temporary_path(final: Path, ending: str = "") -> Path:
    """Where an output is written before it is complete: a hidden name beside it, which no user gives to a file.

    The name ends in a hash of the output's name, so `.a.jsonl.part` of a user is never taken for one of ours.

    Args:
        final: the output.
        ending: added to the name.
    """
    name = os.fsencode(final.name)
    tag = xxhash.xxh3_64_hexdigest(b"data_juicer_sandbox\0" + name)
    start = name[:_LONGEST_START].decode(errors="ignore")  # a name has at most 255 bytes
    return final.with_name(f".{start}.part-{tag}{ending}")


def make_folder(root: Path, folder: Path) -> None:
    """Create a folder below a root, without following a link on the way; nor may it hold one to another folder.

    Raises:
        WorkDirError: a link, or another file that is not a folder, is in place of a folder.
    """
    current = root
    for name in folder.relative_to(root).parts:
        current = current / name
        if current.is_symlink() or (current.exists() and not current.is_dir()):
            file_type = "symbolic link" if current.is_symlink() else "file"
            raise WorkDirError(f"{current} is a {file_type}, but the run needs a folder there", hint="remove it")
    folder.mkdir(parents=True, exist_ok=True)
    for parent, names, _ in os.walk(folder):
        for name in names:
            if Path(parent, name).is_symlink():
                what = f"{Path(parent, name)} is a symbolic link to a folder, and the run would write to its target"
                raise WorkDirError(what, hint="remove it")


def move_aside(path: Path) -> Path:
    """Rename a file or folder to a dated name beside it; returns the new path."""
    start = os.fsencode(path.name)[:_LONGEST_START].decode(errors="ignore")  # a name has at most 255 bytes
    stem = f"previous_{start}_{time.strftime('%Y%m%d_%H%M%S')}"
    names = (path.with_name(stem + (f"_{number}" if number > 1 else "")) for number in range(1, 10_000))
    return path.rename(next(name for name in names if not os.path.lexists(name)))


def open_append(path: Path) -> BinaryIO:
    """Open a file of a run for appending, unbuffered; only its owner may read a new one.

    Raises:
        WorkDirError: the path is a symbolic link, or another file that is not regular.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    refuse_special(path)
    _break_hard_link(path)
    descriptor = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        refuse_special(path)
    return os.fdopen(descriptor, "r+b", buffering=0)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading, without waiting for a pipe or device.

    Raises:
        OSError: it does not exist, cannot be read, or is not a regular file.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield stream


def _break_hard_link(path: Path) -> None:
    """Give a file of its own to a path that shares one with another path, such as a copy made by `cp -al`."""
    if not path.exists() or path.stat().st_nlink == 1:
        return
    copy = temporary_path(path, f"-{os.getpid()}")
    try:
        shutil.copy2(path, copy)
        copy.replace(path)
    except BaseException:
        remove(copy)
        raise


def refuse_special(path: Path) -> None:
    """Refuse to open a link, a folder, a pipe or a device as a file of a run.

    Raises:
        WorkDirError: it is one.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        file_type = "symbolic link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "special file"
        what = f"{path.name} is a {file_type}, but the run writes a file with that name"
        raise WorkDirError(what, where=str(path.parent), hint="remove it, or choose another `work_dir`")


def path_exists(text: str, *, file: bool = False) -> bool:
    """Whether a text is the path of an existing file or folder (`file`: of a file). Any text is allowed, even a long
    prompt: pathlib raises an error for a name that is too long.
    """
    return os.path.isfile(text) if file else os.path.exists(text)  # noqa: PTH110, PTH113


def is_pattern(path: str | Path) -> bool:
    """Whether a path is a pattern, such as `part-*.jsonl`, and not the name of something that exists."""
    return _PATTERN.search(str(path)) is not None and not os.path.exists(path)  # noqa: PTH110


def is_special(path: str | Path) -> bool:
    """Whether a path is a pipe, a device or a socket: reading one may never end."""
    return path_exists(str(path)) and not Path(path).is_file() and not Path(path).is_dir()


def sync(path: Path) -> None:
    """Wait until the disk holds this file, or this folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
