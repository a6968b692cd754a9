"""A watcher, a progress display and a guard that record what a component does, and can interrupt it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_juicer_sandbox.files import real_path
from data_juicer_sandbox.output_folders import Owner
from data_juicer_sandbox.output_guard import OutputGuard
from data_juicer_sandbox.types import Metrics
from data_juicer_sandbox.watchers.base import flat_values

WATCH = "watch"
PROGRESS = "progress"
RENAME = "rename"


@dataclass(frozen=True)
class Interruption:
    """An exception that is raised in a component.

    Args:
        error: the exception.
        event: where: `WATCH` (a call of `job.watcher.watch` with a step), `PROGRESS` (a call of a progress task), or
            `RENAME` (a finished file is about to get its final name).
        number: at which of these events, counted from 1.
    """

    error: BaseException
    event: str
    number: int = 1


@dataclass
class Events:
    """What a component reported and wrote."""

    interruption: Interruption | None = None
    counts: dict[str, int] = field(default_factory=dict)
    tasks: list[RecordedTask] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    claims: list[Path] = field(default_factory=list)
    metrics: dict[str, bool] = field(default_factory=dict)
    """For each metric whether it was reported with a step."""

    def happened(self, event: str) -> None:
        """Count an event; raises the interruption at its event."""
        self.counts[event] = number = self.counts.get(event, 0) + 1
        stop = self.interruption
        if stop is not None and (event, number) == (stop.event, stop.number):
            raise stop.error


class RecordedTask:
    """A progress task that checks its numbers; its `with` block opens it. Not a generator, which its deletion ends."""

    def __init__(self, description: str, total: float | None, events: Events):
        self.description, self.total, self.completed, self.open = description, total, 0.0, False
        self._events = events

    def __enter__(self) -> RecordedTask:
        self.open = True
        return self

    def __exit__(self, *error: object) -> None:
        self.open = False

    def advance(self, amount: float = 1) -> None:
        """Advance by `amount` of the total."""
        self.completed += amount
        if amount < 0:
            self._problem(f"advances by {amount:g}")
        self._check()

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set the completed amount, the total, or a note."""
        if total is not None:
            self.total = total
        if completed is not None:
            self.completed = completed
        self._check()

    def _check(self) -> None:
        if not self.open:
            self._problem("is used outside its `with` block")
        if self.total is not None and self.completed > self.total * (1 + 1e-9):
            self._problem(f"reaches {self.completed:g} of {self.total:g}")
        self._events.happened(PROGRESS)

    def _problem(self, what: str) -> None:
        problem = f"the task {self.description!r} {what}"
        if problem not in self._events.problems:
            self._events.problems.append(problem)


class RecordingJob:
    """The watcher and the progress display of a recorded run.

    Args:
        events: records what happens.
        metrics: what `query` returns by the name of the job.
    """

    def __init__(self, events: Events, metrics: Mapping[str, Mapping[str, object]]):
        self._events, self._metrics = events, metrics

    def watch(self, values: Mapping[str, object], step: int | None = None) -> None:
        """Count a value that a search could stop at."""
        self._events.metrics |= {key: step is not None for key, _ in flat_values(dict(values))}
        if step is not None:
            self._events.happened(WATCH)

    def query(self, meta_name: str) -> Metrics:
        """The metrics of another job."""
        return dict(self._metrics.get(meta_name, {}))

    def task(self, description: str, total: float | None = None) -> RecordedTask:
        """A progress task."""
        task = RecordedTask(description, total, self._events)
        self._events.tasks.append(task)
        return task


class RecordingGuard:
    """Records which paths a component announces before it writes them."""

    def __init__(self, guard: OutputGuard, events: Events):
        self._guard, self._events = guard, events

    @property
    def owner(self) -> Owner:
        """The job."""
        return self._guard.owner

    def claim(self, path: Path, *, folder: bool = False) -> None:
        """Ask the run's guard, and record the path."""
        self._guard.claim(path, folder=folder)
        self._events.claims.append(real_path(path))

    def before_rename(self, part: Path, final: Path) -> None:
        """A finished file is about to get its final name."""
        self._events.happened(RENAME)
        self._guard.before_rename(part, final)
