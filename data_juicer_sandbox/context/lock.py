"""One run at a time on a work directory.

A POSIX record lock, not a lock file or flock(2): it ends with the process that took it, however that ends, and is not
inherited by child processes that may outlive it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_juicer_sandbox.errors import WorkDirError


@contextmanager
def locked(work_dir: Path) -> Iterator[None]:
    """Hold the work directory while the block runs; makes it where it is missing.

    Raises:
        WorkDirError: another run holds it, or it cannot be written.
    """
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(work_dir / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkDirError(
            f"the work directory cannot be written: {error.strerror}",
            where=str(work_dir),
            hint="choose another `work_dir`",
        ) from error
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            raise WorkDirError(
                f"another run is using this work directory: {owner or 'unknown'}",
                where=str(work_dir),
                hint="wait for it, or give this run another `work_dir`",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
