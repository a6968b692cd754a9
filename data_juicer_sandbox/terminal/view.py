"""`View`: the interface by which the engine shows a run on the terminal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from data_juicer_sandbox.control_characters import one_line

if TYPE_CHECKING:
    from data_juicer_sandbox.components.base import Task


@dataclass(frozen=True)
class TaskState:
    """One task of a run whose jobs run side by side: a job, or an item of a job.

    Args:
        label: `main.train`, or `main.train: low_seed42` for an item.
        where: where it runs (`pid 4711`, `node7, SLURM job 12_3`), or `queued`.
        started: when it was submitted, in seconds since the epoch.
        text: what it does (`training`); empty if it has not said.
        completed: how much of it is done.
        total: the amount that `completed` counts to; None if unknown.
        note: a short note, such as the loss.
    """

    label: str
    where: str
    started: float
    text: str = ""
    completed: float = 0.0
    total: float | None = None
    note: str = ""


@dataclass(frozen=True)
class RunState:
    """The state of a run whose jobs run side by side.

    Args:
        tasks: the tasks that run or are queued, the oldest first.
        waiting: number of jobs that wait for others.
        done: number of jobs that have ended or were kept.
        failed: number of jobs that failed or were skipped for one that failed.
        total: number of all jobs.
    """

    tasks: tuple[TaskState, ...]
    waiting: int
    done: int
    failed: int
    total: int


@dataclass(frozen=True)
class FailedJob:
    """A job that failed.

    Args:
        label: `<pipeline>.<meta_name>`.
        cause: the error message.
        log: the path of the log that has the details.
    """

    label: str
    cause: str
    log: str


@dataclass(frozen=True)
class SkippedJob:
    """A job that did not run because of another one.

    Args:
        label: `<pipeline>.<meta_name>`.
        because_of: the job that failed: this job reads from it, or from a job that was skipped for it.
    """

    label: str
    because_of: str


class View(ABC):
    """Shows a run. Components use it as their `Progress`.

    Args:
        stream: the output stream; standard error in a run.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    @abstractmethod
    def run_started(self, n_pipelines: int, n_jobs: int) -> None:
        """The run starts."""

    @abstractmethod
    def pass_started(self, title: str, n_jobs: int) -> None:
        """An iteration or a trial with this number of jobs starts."""

    @abstractmethod
    def pipeline_started(self, name: str) -> None:
        """A pipeline starts; the following jobs belong to it."""

    @abstractmethod
    def job_started(self, pipeline: str, job: str, hook: str) -> None:
        """A job starts."""

    @abstractmethod
    def job_kept(self, pipeline: str, job: str, reason: str) -> None:
        """A job does not run again; its results are kept."""

    @abstractmethod
    def job_done(self, pipeline: str, job: str, seconds: float, summary: str = "") -> None:
        """A job succeeded.

        Args:
            pipeline: its pipeline.
            job: its name.
            seconds: its duration.
            summary: its outputs in short.
        """

    @abstractmethod
    def job_failed(self, pipeline: str, job: str, seconds: float, cause: str) -> None:
        """A job failed; `failure` shows the details at the end of the run."""

    @abstractmethod
    def job_skipped(self, pipeline: str, job: str, because_of: str) -> None:
        """A job does not run since it depends on one that failed.

        Args:
            pipeline: its pipeline.
            job: its name.
            because_of: the job that failed.
        """

    @abstractmethod
    def run_done(self, seconds: float, n_run: int, n_kept: int, notes: Sequence[str] = ()) -> None:
        """The run succeeded.

        Args:
            seconds: its duration.
            n_run: number of jobs that ran.
            n_kept: number of jobs whose earlier results were kept.
            notes: lines that name the files of the run.
        """

    @abstractmethod
    def failure(self, job: str, cause: str, log_path: str, command: str) -> None:
        """The run ended with a failure.

        Args:
            job: `<pipeline>.<meta_name>`, or the name of the failed search.
            cause: the error message.
            log_path: the path of the log.
            command: the command that continues the run.
        """

    @abstractmethod
    def failures(self, failed: Sequence[FailedJob], skipped: Sequence[SkippedJob], command: str) -> None:
        """The run ended; some jobs failed, and all that do not depend on them have run.

        Args:
            failed: the jobs that failed.
            skipped: the jobs that did not run.
            command: the command that runs both.
        """

    @abstractmethod
    def message(self, text: str) -> None:
        """Show a line of text."""

    @abstractmethod
    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table; numbers are aligned right."""

    @abstractmethod
    def task(self, description: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Show the progress of a component's task while the `with` block runs."""

    def running(self, state: RunState) -> None:  # noqa: B027
        """Show the tasks that run side by side; called about once a second."""

    def close(self) -> None:  # noqa: B027
        """Restore the terminal. May be called more than once."""


def duration(seconds: float) -> str:
    """Format a duration: `0.42 s`, `12.3 s`, `4 min 07 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def cell(value: object) -> str:
    """Format a table's cell: floats with at most five digits, None as an empty text, control characters escaped."""
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else one_line(str(value))


def is_number(value: object) -> bool:
    """Whether a cell is a number, which is aligned right."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
