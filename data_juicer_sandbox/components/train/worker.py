"""Trains one model in a process of its own: `python -m data_juicer_sandbox.components.train.worker FOLDER`.

FOLDER holds a JSON file for each process that trains the model, named by its rank: the trainer's class and config, the
training task, the job. Each process removes its file after reading. Torch needs fresh processes: a fork of a process
that has used torch may hang or have no GPU.

The worker sends messages to its parent, as JSON lines on standard output: metrics, progress, log lines, its error. In
the parent, `Receiver` passes them to the job.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob, Task
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.processes.handover import take_over
from data_juicer_sandbox.components.train.parameters import TrainingTask
from data_juicer_sandbox.errors import JobError, SandboxError
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.plugins import import_object
from data_juicer_sandbox.types import ConfigValues, Metrics

KEY = "dj_sandbox"
"""Key that marks a line as a message; libraries may print other lines."""
UPDATE_INTERVAL = 0.2
"""Minimum seconds between two updates of a progress bar."""


def send(message_type: str, **content: object) -> None:
    """Send a message to the parent, in one write, so that lines of several processes do not mix."""
    sys.stdout.write(json.dumps({KEY: message_type, **content}, default=float) + "\n")
    sys.stdout.flush()


class Sender:
    """A job's watcher and progress in a worker: sends everything to the parent."""

    def __init__(self) -> None:
        self._ids = count(1)

    def watch(self, values: Mapping[str, object], step: int | None = None) -> None:
        """Send metrics."""
        send("watch", values=values, step=step)

    def query(self, meta_name: str) -> Metrics:
        """Return nothing: a worker has no access to other jobs' metrics."""
        return {}

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[_Bar]:
        """A progress bar in the parent's display."""
        number = next(self._ids)
        send("open", task=number, description=description, total=total)
        try:
            yield _Bar(number)
        finally:
            send("close", task=number)


class _Bar:
    def __init__(self, number: int):
        self._number, self._sent_at = number, 0.0
        self._done = 0.0

    def advance(self, amount: float = 1) -> None:
        self.update(completed=self._done + amount)

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        self._done = self._done if completed is None else completed
        if total is None and note is None and time.monotonic() - self._sent_at < UPDATE_INTERVAL:
            return
        self._sent_at = time.monotonic()
        send("update", task=self._number, completed=completed, total=total, note=note)


class Receiver:
    """Passes the messages of one worker to the job, in the parent process.

    Args:
        job: the job that receives metrics and progress.
        stack: closes open progress bars when it is closed.
    """

    def __init__(self, job: JobRun, stack: ExitStack):
        self._job, self._stack = job, stack
        self._tasks: dict[int, tuple[ExitStack, Task]] = {}
        self.error: SandboxError | None = None
        """The error that the worker reported."""

    def take(self, text: str) -> bool:
        """Handle a line; returns False if it is not a message."""
        try:
            message = loads(text) if text.startswith("{") else None
        except ValueError:
            return False
        if not isinstance(message, dict) or (message_type := message.pop(KEY, None)) not in self._handlers:
            return False
        self._handlers[message_type](self, **message)
        return True

    def _watch(self, values: Metrics, step: int | None) -> None:
        self._job.watcher.watch(values, step=step)

    def _open(self, task: int, description: str, total: float | None) -> None:
        task_stack = self._stack.enter_context(ExitStack())
        self._tasks[task] = task_stack, task_stack.enter_context(self._job.progress.task(description, total))

    def _update(self, task: int, **change: Any) -> None:
        self._tasks[task][1].update(**change)

    def _close(self, task: int) -> None:
        self._tasks.pop(task)[0].close()

    def _log(self, level: str, text: str) -> None:
        logger.log(level, "{}", text)

    def _failed(self, what: str, hint: str | None) -> None:
        self.error = JobError(what, hint=hint)

    _handlers: dict[str, Callable[..., None]] = {  # noqa: RUF012
        "watch": _watch,
        "open": _open,
        "update": _update,
        "close": _close,
        "log": _log,
        "failed": _failed,
    }


def main(spec: ConfigValues) -> int:
    """Train; returns the exit status."""
    is_main_process = torch_env.is_main_process()
    logger.remove()
    if is_main_process:
        logger.add(lambda message: send("log", level=message.record["level"].name, text=message.record["message"]))
    sender = Sender() if is_main_process else NullJob()
    job = JobRun(spec["pipeline"], spec["job"], Path(spec["folder"]), sender, sender)
    try:
        trainer = import_object(spec["trainer"])(**spec["config"])
        trainer.train_group(job, [TrainingTask(**spec["training_task"])])
    except SandboxError as error:
        if is_main_process:
            where = f"{error.where}: " if error.where else ""
            send("failed", what=f"{where}{error.what}", hint=error.hint)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(take_over(Path(sys.argv[1], f"{os.environ.get('LOCAL_RANK', '0')}.json"))))
