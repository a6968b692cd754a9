"""The tasks that run side by side as text: a table, and a line."""

from __future__ import annotations

import time
from collections.abc import Sequence

from data_juicer_sandbox.terminal.view import RunState, TaskState, duration

QUEUED = "queued"
COLUMNS = ("task", "where", "since", "progress", "note")


def task_rows(tasks: Sequence[TaskState]) -> list[list[str]]:
    """The rows of a table of tasks.

    Args:
        tasks: the tasks.
    """
    return [[task.label, task.where, since(task), progress_text(task), task.note] for task in tasks]


def ordered(state: RunState) -> list[TaskState]:
    """The tasks, those that run before those that are queued."""
    return sorted(state.tasks, key=lambda task: task.where == QUEUED)


def counts(state: RunState) -> str:
    """The numbers of jobs: `14 jobs: 5 done, 2 failed or skipped, 4 waiting, 3 started`."""
    started = state.total - state.done - state.failed - state.waiting
    numbers = {"done": state.done, "failed or skipped": state.failed, "waiting": state.waiting, "started": started}
    return f"{state.total} jobs: {', '.join(f'{number} {what}' for what, number in numbers.items() if number)}"


def in_short(state: RunState, limit: int) -> str:
    """The state on one line.

    Args:
        state: the state.
        limit: the number of tasks that are named.
    """
    tasks = [task for task in ordered(state) if task.where != QUEUED]
    names = [" ".join(filter(None, [f"{task.label}:", progress_text(task), task.note])) for task in tasks[:limit]]
    names = [name.removesuffix(":") for name in names]
    if len(tasks) > limit:
        names.append(f"{len(tasks) - limit} more tasks")
    queued = len(state.tasks) - len(tasks)
    if queued:
        names.append(f"{queued} queued")
    return "; ".join([counts(state), *names])


def progress_text(task: TaskState) -> str:
    """What a task does, and how far it is: `training 30/100`."""
    amount = f"{task.completed:g}/{task.total:g}" if task.total else f"{task.completed:g}" if task.completed else ""
    return " ".join(filter(None, [task.text, amount]))


def since(task: TaskState) -> str:
    """How long ago a task was submitted."""
    seconds = max(time.time() - task.started, 0)
    return f"{seconds:.0f} s" if seconds < 99.5 else duration(seconds)
