"""What the engine tells the person at the terminal, whichever view shows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from data_juicer_sandbox.components.base import Task


class View(ABC):
    """Shows a run. It is the `Progress` of components too.

    Args:
        stream: where it writes; standard error in a run.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    @abstractmethod
    def run_started(self, n_pipelines: int, n_jobs: int) -> None:
        """The run begins."""

    @abstractmethod
    def pass_started(self, title: str, n_jobs: int) -> None:
        """So many jobs begin, again: those of an iteration or of a trial."""

    @abstractmethod
    def pipeline_started(self, name: str) -> None:
        """The jobs that follow are this pipeline's."""

    @abstractmethod
    def job_started(self, pipeline: str, job: str, hook: str) -> None:
        """A job begins."""

    @abstractmethod
    def job_kept(self, pipeline: str, job: str, reason: str) -> None:
        """A job is not run again."""

    @abstractmethod
    def job_done(self, pipeline: str, job: str, seconds: float, summary: str = "") -> None:
        """A job ended well.

        Args:
            pipeline: its pipeline.
            job: its name.
            seconds: how long it took.
            summary: what came out, in a few words.
        """

    @abstractmethod
    def job_failed(self, pipeline: str, job: str, seconds: float, cause: str) -> None:
        """A job failed; `failure` says the rest when the run has come to its end."""

    @abstractmethod
    def run_done(self, seconds: float, n_run: int, n_kept: int, notes: Sequence[str] = ()) -> None:
        """The run is over, and well.

        Args:
            seconds: how long it took.
            n_run: number of jobs that ran.
            n_kept: number of jobs kept from earlier.
            notes: lines that say where things lie.
        """

    @abstractmethod
    def failure(self, job: str, cause: str, log_path: str, command: str) -> None:
        """The run ended with a failure.

        Args:
            job: `<pipeline>.<meta_name>`, or what else failed.
            cause: the error's text.
            log_path: where all of it is logged.
            command: what continues the run.
        """

    @abstractmethod
    def message(self, text: str) -> None:
        """A line of text."""

    @abstractmethod
    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table; numbers are aligned right."""

    @abstractmethod
    def task(self, description: str, total: float | None = None) -> AbstractContextManager[Task]:
        """A component's own progress, there as long as the `with` block runs."""

    def close(self) -> None:  # noqa: B027
        """Leave the terminal as it was found. May be called twice."""


def duration(seconds: float) -> str:
    """Seconds for a person: `0.42 s`, `12.3 s`, `4 min 07 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def cell(value: Any) -> str:
    """A table's cell: numbers in at most five digits, None as nothing."""
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def is_number(value: Any) -> bool:
    """Whether a cell stands at the right of its column."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
