"""A lock for each output: two processes that write one output at a time would share its temporary file."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_juicer_sandbox.errors import JobError

PATIENCE = 5.0
"""Seconds to wait for the lock: a child of a killed run may hold it until it notices."""
_PAUSE = 0.05
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals whose handlers may raise an exception anywhere; held back while a lock file exists that no block removes."""


@contextmanager
def writing(final: Path, lock: Path) -> Iterator[None]:
    """Hold the lock of an output while the block writes it. On a file system without locks, nothing is locked.

    Args:
        final: the output.
        lock: the lock file; created, and removed at the end.

    Raises:
        JobError: another process is writing the output.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        descriptor = _acquire(final, lock, mask)
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # runs the handler of a signal that was held back
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
            lock.unlink(missing_ok=True)  # while it is held, so that the file of another process is never removed
            os.close(descriptor)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _acquire(final: Path, lock: Path, mask: Iterable[int]) -> int:
    """Open and lock the lock file, with the stopping signals held back; `mask` is in force while it waits."""
    deadline = time.monotonic() + PATIENCE
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            if time.monotonic() > deadline:
                what = f"another run is writing {final}"
                raise JobError(what, hint="wait for its end, or choose another path") from error
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            time.sleep(_PAUSE)
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
            continue
        except OSError:  # a file system without locks
            return descriptor
        if _is_open_file(descriptor, lock):
            return descriptor
        os.close(descriptor)  # its previous holder has removed it


def _is_open_file(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), lock.lstat())
    except FileNotFoundError:
        return False
