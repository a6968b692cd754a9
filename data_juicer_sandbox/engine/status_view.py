"""`StatusView`: shows a run by another view, and writes its state for `dj-sandbox status`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import Task
from data_juicer_sandbox.parallel.status import FILE, clear_status, write_status
from data_juicer_sandbox.secrets import mask_text
from data_juicer_sandbox.terminal.view import FailedJob, RunState, SkippedJob, TaskState, View

EVERY = 1.0
"""Seconds between two writes of the state while a job runs."""


class StatusView(View):
    """Passes everything on to another view. While one job runs at a time, that job is the only task of the state.

    Args:
        view: the other view.
        work_dir: the work directory of the run.
        backend: what runs the jobs.
    """

    def __init__(self, view: View, work_dir: Path, backend: str = "serial"):
        super().__init__(view.stream)
        self._view, self._work_dir, self._backend = view, work_dir, backend
        self._total = self._done = self._failed = 0
        self._job, self._started = "", 0.0
        self._tasks: list[_Progress] = []
        self._written = -EVERY
        self._is_side_by_side = False
        clear_status(work_dir)

    def run_started(self, n_pipelines: int, n_jobs: int) -> None:
        """Count the jobs."""
        self._view.run_started(n_pipelines, n_jobs)
        self._count(n_jobs)

    def pass_started(self, title: str, n_jobs: int) -> None:
        """Count the jobs of the iteration or trial."""
        self._view.pass_started(title, n_jobs)
        self._count(n_jobs)

    def pipeline_started(self, name: str) -> None:
        """Pass it on."""
        self._view.pipeline_started(name)

    def job_started(self, pipeline: str, job: str, hook: str) -> None:
        """Write the state."""
        self._view.job_started(pipeline, job, hook)
        self._job, self._started = f"{pipeline}.{job}", time.time()
        self._write()

    def job_kept(self, pipeline: str, job: str, reason: str) -> None:
        """Count the job."""
        self._view.job_kept(pipeline, job, reason)
        self._done += 1

    def job_done(self, pipeline: str, job: str, seconds: float, summary: str = "") -> None:
        """Count the job."""
        self._view.job_done(pipeline, job, seconds, summary)
        self._job = ""
        self._done += 1
        self._write()

    def job_failed(self, pipeline: str, job: str, seconds: float, cause: str) -> None:
        """Count the job."""
        self._view.job_failed(pipeline, job, seconds, cause)
        self._job = ""
        self._failed += 1
        self._write()

    def job_skipped(self, pipeline: str, job: str, because_of: str) -> None:
        """Count the job."""
        self._view.job_skipped(pipeline, job, because_of)
        self._failed += 1

    def run_done(self, seconds: float, n_run: int, n_kept: int, notes: Sequence[str] = ()) -> None:
        """Pass it on."""
        self._view.run_done(seconds, n_run, n_kept, notes)

    def failure(self, job: str, cause: str, log_path: str, command: str) -> None:
        """Pass it on."""
        self._view.failure(job, cause, log_path, command)

    def failures(self, failed: Sequence[FailedJob], skipped: Sequence[SkippedJob], command: str) -> None:
        """Pass it on."""
        self._view.failures(failed, skipped, command)

    def message(self, text: str) -> None:
        """Pass it on."""
        self._view.message(text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Pass it on."""
        self._view.table(title, columns, rows)

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """A task of a component, or of a search."""
        self._is_side_by_side = False
        with self._view.task(description, total) as bar:
            progress = _Progress(self, bar, description, total)
            self._tasks.append(progress)
            try:
                yield progress
            finally:
                self._tasks.remove(progress)

    def running(self, state: RunState) -> None:
        """Write the state, which the caller knows: until the next iteration or trial, jobs run side by side."""
        self._is_side_by_side = True
        self._view.running(state)
        self._write_state(state)

    def close(self) -> None:
        """Remove the state, since the run has ended."""
        with suppress(OSError):
            (self._work_dir / FILE).unlink(missing_ok=True)

    def write_if_due(self) -> None:
        """Write the state, unless that was done less than `EVERY` seconds ago."""
        if time.monotonic() - self._written >= EVERY:
            self._write()

    def _count(self, n_jobs: int) -> None:
        self._total, self._done, self._failed, self._is_side_by_side = n_jobs, 0, 0, False
        self._job = ""  # a job of a trial that was pruned has neither succeeded nor failed
        self._write()

    def _write(self) -> None:
        if self._is_side_by_side:
            return
        tasks: tuple[TaskState, ...] = ()
        if self._job or self._tasks:
            inner = self._tasks[-1] if self._tasks else None
            progress = (inner.description, inner.completed, inner.total, mask_text(inner.note)) if inner else ()
            started = self._started if self._job else inner.started if inner else 0.0
            tasks = (TaskState(self._job or "search", f"pid {os.getpid()}", started, *progress),)
        waiting = self._total - self._done - self._failed - bool(self._job)
        self._write_state(RunState(tasks, max(waiting, 0), self._done, self._failed, self._total))

    def _write_state(self, state: RunState) -> None:
        self._written = time.monotonic()
        try:
            write_status(self._work_dir, self._backend, state)
        except OSError as error:  # a run does not fail for it
            logger.debug("{} cannot be written: {}", self._work_dir / FILE, error)


@dataclass(eq=False)
class _Progress:
    """A progress bar whose values are also kept."""

    view: StatusView
    bar: Task
    description: str
    total: float | None
    completed: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        self.started = time.time()

    def advance(self, amount: float = 1) -> None:
        """Increase the completed amount."""
        self.bar.advance(amount)
        self.completed += amount
        self.view.write_if_due()

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set the completed amount, the total, or the note."""
        self.bar.update(completed=completed, total=total, note=note)
        self.completed = self.completed if completed is None else completed
        self.total = self.total if total is None else total
        self.note = self.note if note is None else note
        self.view.write_if_due()
