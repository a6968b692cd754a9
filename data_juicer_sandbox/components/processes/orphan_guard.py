"""Worker processes end with the run that forked them, however it ends.

A pool's workers wait for work for ever when their parent is killed (`kill -9`), and hold memory and pipes. A signal at
the parent's death would not do: it is sent when the thread that forked ends, which a pool's own thread may do early.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

PAUSE = 0.2
"""Seconds between two looks at the parent."""

_forking = 0
_active = 0


def install() -> None:
    """From now on every process forked from this one, and from those, ends when its parent is gone."""
    global _active
    _register()
    _active += 1


@contextmanager
def active() -> Iterator[None]:
    """While the block runs, every process forked from this one, and from those, ends when its parent is gone."""
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
    """This process ends when that one, which started it, is gone."""
    threading.Thread(target=_end_with, args=(parent,), name="ends-with-its-parent", daemon=True).start()


def _remember() -> None:
    global _forking
    _forking = os.getpid() if _active else 0


def _watch() -> None:
    if _forking:
        exit_with_parent(_forking)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PAUSE)
    os._exit(1)
