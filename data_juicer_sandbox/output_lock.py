"""A lock for each output: two processes that write one output at a time would share its temporary file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import starmap
from pathlib import Path

from data_juicer_sandbox.errors import JobError

PATIENCE = 5.0
"""Seconds to wait for the lock: a child of a killed run may hold it until it notices."""
_PAUSE = 0.05


@contextmanager
def writing(final: Path, lock: Path) -> Iterator[None]:
    """Hold the lock of an output while the block writes it. On a file system without locks, nothing is locked.

    Args:
        final: the output.
        lock: the lock file; created, and removed at the end.

    Raises:
        JobError: another process is writing the output.
    """
    # A signal handler may raise an exception between any two calls, as it does in a worker that is ended: the `try`
    # begins before there is a file, and `os.unlink`, unlike a function written in Python, starts before a handler can.
    name = os.fspath(lock)  # a `Path` would call Python from within `os.unlink`
    descriptors: list[int] = []
    is_held = False
    try:
        _acquire(final, lock, descriptors)
        is_held = True
        yield
    finally:
        if is_held or _is_lockable(descriptors, lock):  # so that the file of another process is never removed
            try:
                os.unlink(name)  # noqa: PTH108
            except FileNotFoundError:
                pass
            except BaseException:  # raised in an audit hook, which Python calls before it removes the file
                with suppress(FileNotFoundError):
                    os.unlink(name)  # noqa: PTH108
                raise
        for descriptor in descriptors:
            os.close(descriptor)


def _acquire(final: Path, lock: Path, descriptors: list[int]) -> None:
    """Open and lock the lock file; its descriptor is in `descriptors` as soon as the file exists."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    deadline = time.monotonic() + PATIENCE
    while True:
        # In one step that no signal handler interrupts: opened, and added to the list.
        descriptors.extend(starmap(os.open, [(lock, flags, 0o600)]))
        descriptor = descriptors[0]
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptors.pop())
            if time.monotonic() > deadline:
                what = f"another run is writing {final}"
                raise JobError(what, hint="wait for its end, or choose another path") from error
            time.sleep(_PAUSE)
            continue
        except OSError:  # a file system without locks
            return
        if _is_open_file(descriptor, lock):
            return
        os.close(descriptors.pop())  # its previous holder has removed it


def _is_lockable(descriptors: list[int], lock: Path) -> bool:
    """Whether an interrupted `_acquire` left the lock file, and no other process has locked it."""
    try:
        for descriptor in descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return any(_is_open_file(descriptor, lock) for descriptor in descriptors)


def _is_open_file(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), lock.lstat())
    except FileNotFoundError:
        return False
