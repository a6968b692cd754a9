"""`ProcessState`: what belongs to the process as a whole, to find and undo what a component or tracker left in it."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from data_juicer_sandbox.types import LibraryObject

_GRACE = 1.0
"""Seconds in which a thread or process that was told to end may end."""


class ProcessState:
    """The state of the process at the time of the call."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._folder = Path.cwd()
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._handlers = logging.root.handlers[:]
        self._level = logging.root.level
        self._disabled = logging.root.manager.disable
        self._sinks = _sinks()
        self._signals = _signals()
        self._threads = set(threading.enumerate())
        self._children = _children()
        self._random = random.getstate()
        self._numpy = _numpy_state()

    def changes(self) -> Iterator[str]:
        """What is different now, one sentence for each."""
        for name in sorted({*os.environ, *self._environment}):
            if os.environ.get(name) != self._environment.get(name):
                yield f"the environment variable {name} is changed"
        folder = _current_folder()
        if folder != self._folder:
            yield f"the current folder is {folder}, and was {self._folder}"
        for name, stream in zip(("stdin", "stdout", "stderr"), self._streams, strict=True):
            if getattr(sys, name) is not stream:
                yield f"sys.{name} is replaced"
        if logging.root.handlers != self._handlers:
            yield "the handlers of the root logger are changed"
        if logging.root.level != self._level or logging.root.manager.disable != self._disabled:
            yield "the level of the root logger is changed"
        if _sinks() != self._sinks:
            yield "the sinks of loguru's logger are changed"
        for number, handler in _signals().items():
            if handler != self._signals.get(number):
                yield f"the handler of {number.name} is changed"
        for thread in self._new_threads():
            yield f"the thread {thread.name!r} is still running"
        for child in self._new_children():
            yield f"the child process {child} is not ended and waited for"
        if random.getstate() != self._random:
            yield "the state of `random` is changed; use a `random.Random(seed)` of your own"
        if _numpy_state() != self._numpy and self._numpy is not None:
            yield "the state of `numpy.random` is changed; use a `numpy.random.default_rng(seed)` of your own"

    def restore(self) -> None:
        """Undo the changes, except threads and processes."""
        if _current_folder() != self._folder:
            os.chdir(self._folder)
        for name in set(os.environ) - set(self._environment):
            del os.environ[name]
        os.environ.update({k: v for k, v in self._environment.items() if os.environ.get(k) != v})
        sys.stdin, sys.stdout, sys.stderr = self._streams
        logging.root.handlers[:] = self._handlers
        logging.root.setLevel(self._level)
        logging.disable(self._disabled)
        for number, handler in _signals().items():
            if handler != self._signals.get(number) and number in self._signals:
                signal.signal(number, self._signals[number])
        random.setstate(self._random)
        if self._numpy is not None:
            import numpy as np

            name, keys, *rest = self._numpy
            np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))

    def _new_threads(self) -> list[threading.Thread]:
        end = time.monotonic() + _GRACE
        threads = [thread for thread in threading.enumerate() if thread not in self._threads]
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return [thread for thread in threads if thread.is_alive()]

    def _new_children(self) -> set[int]:
        end = time.monotonic() + _GRACE
        while (children := _children() - self._children) and time.monotonic() < end:
            time.sleep(0.02)
        return children


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def _signals() -> dict[signal.Signals, LibraryObject]:
    """The handlers of all signals; empty outside the main thread, where they cannot be set."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in signal.Signals}


def _sinks() -> list[int]:
    """The ids of loguru's sinks, as far as it tells them."""
    from loguru import logger

    core = getattr(logger, "_core", None)
    return sorted(getattr(core, "handlers", ()))


def _children() -> set[int]:
    """The ids of the child processes; empty on a system without `/proc`."""
    children: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        try:
            children.update(map(int, file.read_text().split()))
        except OSError:  # the thread has ended
            continue
    return children


def _numpy_state() -> tuple[LibraryObject, ...] | None:
    """The state of NumPy's random numbers, comparable; None if NumPy is not imported."""
    if "numpy" not in sys.modules:
        return None
    import numpy as np

    state: LibraryObject = np.random.get_state()
    name, keys, *rest = state
    return (name, keys.tobytes(), *rest)
