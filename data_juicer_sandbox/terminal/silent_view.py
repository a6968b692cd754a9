"""The view of a run that prints nothing: the default when a run is started from Python."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from data_juicer_sandbox.terminal.view import FailedJob, SkippedJob, View


class SilentView(View):
    """Shows nothing. Errors are raised to the caller; the log file has the rest."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())

    def run_started(self, n_pipelines: int, n_jobs: int) -> None:
        """Show nothing."""

    def pass_started(self, title: str, n_jobs: int) -> None:
        """Show nothing."""

    def pipeline_started(self, name: str) -> None:
        """Show nothing."""

    def job_started(self, pipeline: str, job: str, hook: str) -> None:
        """Show nothing."""

    def job_kept(self, pipeline: str, job: str, reason: str) -> None:
        """Show nothing."""

    def job_done(self, pipeline: str, job: str, seconds: float, summary: str = "") -> None:
        """Show nothing."""

    def job_failed(self, pipeline: str, job: str, seconds: float, cause: str) -> None:
        """Show nothing."""

    def job_skipped(self, pipeline: str, job: str, because_of: str) -> None:
        """Show nothing."""

    def run_done(self, seconds: float, n_run: int, n_kept: int, notes: Sequence[str] = ()) -> None:
        """Show nothing."""

    def failure(self, job: str, cause: str, log_path: str, command: str) -> None:
        """Show nothing."""

    def failures(self, failed: Sequence[FailedJob], skipped: Sequence[SkippedJob], command: str) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show nothing."""

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[SilentTask]:
        """A task without a progress bar."""
        yield SilentTask()


class SilentTask:
    """A progress bar that is not shown."""

    def advance(self, amount: float = 1) -> None:
        """Show nothing."""

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Show nothing."""
