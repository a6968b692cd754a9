"""What a worker process tells its parent: metrics, progress, log lines, its error, as JSON lines on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

from loguru import logger

from data_juicer_sandbox.components.base import JobRun, Task
from data_juicer_sandbox.errors import JobError, SandboxError
from data_juicer_sandbox.plain_json import loads

KEY = "dj_sandbox"
"""Marks a line as one of these: libraries may print others."""
SELDOM = 0.2
"""Seconds between two updates of a bar."""


def send(kind: str, **content: Any) -> None:
    """Tell the parent, in one write: lines of several processes do not mix."""
    sys.stdout.write(json.dumps({KEY: kind, **content}, default=float) + "\n")
    sys.stdout.flush()


class Sender:
    """A job's watcher and progress in a worker: all goes to the parent."""

    def __init__(self) -> None:
        self._ids = count(1)

    def watch(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Pass metrics on."""
        send("watch", values=values, step=step)

    def query(self, meta_name: str) -> dict[str, Any]:
        """Nothing: a worker trains, and does not ask for other jobs' metrics."""
        return {}

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[_Bar]:
        """A bar in the parent's display."""
        number = next(self._ids)
        send("open", task=number, description=description, total=total)
        try:
            yield _Bar(number)
        finally:
            send("close", task=number)


class _Bar:
    def __init__(self, number: int):
        self._number, self._said = number, 0.0
        self._done = 0.0

    def advance(self, amount: float = 1) -> None:
        self.update(completed=self._done + amount)

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        self._done = self._done if completed is None else completed
        if total is None and note is None and time.monotonic() - self._said < SELDOM:
            return
        self._said = time.monotonic()
        send("update", task=self._number, completed=completed, total=total, note=note)


class Receiver:
    """The parent's end: hands what one worker tells to the job.

    Args:
        job: whose watcher and progress it is.
        stack: closes the bars that are open when it ends.
    """

    def __init__(self, job: JobRun, stack: ExitStack):
        self._job, self._stack = job, stack
        self._tasks: dict[int, tuple[ExitStack, Task]] = {}
        self.error: SandboxError | None = None
        """What the worker said went wrong."""

    def take(self, text: str) -> bool:
        """Act upon a line; False if it is none of a worker's."""
        try:
            told = loads(text) if text.startswith("{") else None
        except ValueError:
            return False
        if not isinstance(told, dict) or (kind := told.pop(KEY, None)) not in self._kinds:
            return False
        self._kinds[kind](self, **told)
        return True

    def _watch(self, values: dict[str, Any], step: int | None) -> None:
        self._job.watcher.watch(values, step=step)

    def _open(self, task: int, description: str, total: float | None) -> None:
        own = self._stack.enter_context(ExitStack())
        self._tasks[task] = own, own.enter_context(self._job.progress.task(description, total))

    def _update(self, task: int, **change: Any) -> None:
        self._tasks[task][1].update(**change)

    def _close(self, task: int) -> None:
        self._tasks.pop(task)[0].close()

    def _log(self, level: str, text: str) -> None:
        logger.log(level, "{}", text)

    def _failed(self, what: str, hint: str | None) -> None:
        self.error = JobError(what, hint=hint)

    _kinds: dict[str, Callable[..., None]] = {  # noqa: RUF012
        "watch": _watch,
        "open": _open,
        "update": _update,
        "close": _close,
        "log": _log,
        "failed": _failed,
    }
