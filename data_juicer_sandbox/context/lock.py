"""The lock of a work directory: one run at a time.

An open-file-description lock (`F_OFD_SETLK`, Linux): it belongs to the descriptor that took it. A POSIX record lock
would end when anything in this process closes the file, as a job does that reads all files of its work directory. The
descriptor is closed in forked children and not inherited by programs, so the lock ends with the process that took it,
however that ends.

The folder itself is locked too, by `flock`: a lock file that is deleted or replaced while a run holds it would let a
second run in. It cannot have the other kind of lock, for which a file must be open for writing.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.files import refuse_special

_IN_USE = (errno.EAGAIN, errno.EACCES)
"""Error numbers of a lock that another run has; any other is that of a file system without locks."""
_SET = getattr(fcntl, "F_OFD_SETLK", 37)
_GET = getattr(fcntl, "F_OFD_GETLK", 36)
_FLOCK = "hhqqi4x"
_WHOLE_FILE = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""`struct flock` of 64-bit Linux: type, whence, start, length, pid."""

_held: set[int] = set()


@contextmanager
def locked(work_dir: Path) -> Iterator[None]:
    """Hold the work directory while the block runs; creates it where it is missing.

    Raises:
        WorkDirError: another run holds it, it cannot be written, or a link stands where the lock belongs.
    """
    _forget_in_children()
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        descriptor = _open(work_dir / ".lock")
    except OSError as error:
        raise WorkDirError(
            f"the work directory cannot be written: {error.strerror}",
            where=str(work_dir),
            hint="choose another `work_dir`",
        ) from error
    _held.add(descriptor)
    folder = fallback = None
    try:
        if not _lock(descriptor, work_dir):
            fallback = _open(_local_lock(work_dir))
            _held.add(fallback)
            if not _lock(fallback, work_dir):
                raise WorkDirError("neither the work directory nor the temporary folder has file locks")
            logger.warning(
                "{} is on a file system without locks: runs on other machines are not kept out of it, only those on "
                "this one; do not start two on different machines",
                work_dir,
            )
        folder = _open_folder(work_dir)
        if folder is not None:
            _held.add(folder)
            _lock_folder(folder, work_dir)
        yield
    finally:
        for held in (descriptor, folder, fallback):
            # In a forked child that leaves the block, it is closed already, and its number may be another file's.
            if held in _held:
                _held.discard(held)
                os.close(held)


def lock_owner(work_dir: Path) -> str | None:
    """The run that holds a work directory now, such as `process 12 on host`; None if no run does. Takes no lock."""
    for path in (work_dir / ".lock", _local_lock_path(work_dir)):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            holder = fcntl.fcntl(descriptor, _GET, _WHOLE_FILE)
            if struct.unpack(_FLOCK, holder)[0] != fcntl.F_UNLCK:
                return os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return None


def _open(path: Path) -> int:
    refuse_special(path)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def _open_folder(work_dir: Path) -> int | None:
    """A descriptor of the folder for its lock; None if the folder may be written but not listed."""
    try:
        return os.open(work_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None


def _lock_folder(folder: int, work_dir: Path) -> None:
    """Lock the folder itself, if the file system supports it.

    Raises:
        WorkDirError: another run has it.
    """
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _in_use("its lock file was deleted or replaced", work_dir) from error
    except OSError:  # NFS has no such lock of a folder
        return


def _in_use(owner: str, work_dir: Path) -> WorkDirError:
    return WorkDirError(
        f"another run is using this work directory: {owner or 'unknown'}",
        where=str(work_dir),
        hint="wait for it, or give this run another `work_dir`",
    )


def _lock(descriptor: int, work_dir: Path) -> bool:
    """Take the lock; False where the file system has none.

    Raises:
        WorkDirError: another run has it; says which.
    """
    try:
        fcntl.fcntl(descriptor, _SET, _WHOLE_FILE)
    except OSError as error:
        if error.errno not in _IN_USE:
            return False
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise _in_use(owner, work_dir) from error
    if os.pread(descriptor, 8, 0) not in (b"", b"process "):
        return True  # a file of the user's that has the name: it is locked, and left as it is
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return True


def _local_lock(work_dir: Path) -> Path:
    """A lock file for a work directory in the temporary folder of this machine, in a folder of this user alone."""
    path = _local_lock_path(work_dir)
    folder = path.parent
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise WorkDirError(f"{folder} is not a folder of this user alone", hint="remove it")
    return path


def _local_lock_path(work_dir: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(work_dir))).hexdigest()[:32]
    return Path(tempfile.gettempdir(), f"dj_sandbox_locks_{os.getuid()}", name)


@cache
def _forget_in_children() -> None:
    os.register_at_fork(after_in_child=_close_all)


def _close_all() -> None:
    """Close the descriptors in forked children; this does not release the lock of the parent."""
    for descriptor in list(_held):
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()
