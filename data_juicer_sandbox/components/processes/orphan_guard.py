"""Orphan guard: forked workers exit when their parent process ends, for any reason.

If a parent is killed (`kill -9`), a pool's workers would wait for work forever, and hold memory and pipes. A
parent-death signal is not suitable: it is sent when the forking thread ends, and a pool's thread may end early.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

PAUSE = 0.2
"""Seconds between two checks of the parent."""

_forking_process = 0
_active = 0


def install() -> None:
    """Make every process that is forked from now on, also by children, exit when its parent has ended."""
    global _active
    _register()
    _active += 1


@contextmanager
def active() -> Iterator[None]:
    """The same for the processes that are forked while the block runs."""
    global _active
    install()
    try:
        yield
    finally:
        _active -= 1


@cache
def _register() -> None:
    os.register_at_fork(before=_remember, after_in_child=_watch)


def exit_with_parent(parent: int) -> None:
    """Make this process exit when its parent, with the given process id, has ended."""
    threading.Thread(target=_exit_when_orphaned, args=(parent,), name="ends-with-its-parent", daemon=True).start()


def _remember() -> None:
    global _forking_process
    _forking_process = os.getpid() if _active else 0


def _watch() -> None:
    if _forking_process:
        exit_with_parent(_forking_process)


def _exit_when_orphaned(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PAUSE)
    os._exit(1)
