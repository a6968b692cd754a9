"""`PlainView`: the view without a terminal; writes a line when a job starts or ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from data_juicer_sandbox.control_characters import escape_controls
from data_juicer_sandbox.terminal.tables import WIDTH, lay_out
from data_juicer_sandbox.terminal.task_table import in_short
from data_juicer_sandbox.terminal.view import FailedJob, RunState, SkippedJob, View, duration

EVERY = 30.0
"""Interval in seconds between the lines of a long job."""
MAX_TASKS = 3
"""Number of open tasks that a line names."""


class PlainView(View):
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO):
        super().__init__(stream)
        self._n_jobs = self._n_seen = 0
        self._job, self._job_started = "", 0.0
        self._tasks: list[PlainTask] = []
        self._numbers: dict[str, int] = {}
        self._state: RunState | None = None
        self._written = time.monotonic()
        self._ended: threading.Event | None = None

    def run_started(self, n_pipelines: int, n_jobs: int) -> None:
        """Write the number of jobs and pipelines."""
        self._n_jobs, self._n_seen = n_jobs, 0
        self.message(f"{_count(n_jobs, 'job')} in {_count(n_pipelines, 'pipeline')}")
        self.close()
        self._ended = threading.Event()
        threading.Thread(target=self._write_regularly, args=(self._ended,), name="progress", daemon=True).start()

    def pass_started(self, title: str, n_jobs: int) -> None:
        """Restart the count of jobs."""
        self._n_jobs, self._n_seen, self._state = n_jobs, 0, None
        self._numbers.clear()
        self.message(title)

    def pipeline_started(self, name: str) -> None:
        """Write nothing, since every job's line names its pipeline."""

    def job_started(self, pipeline: str, job: str, hook: str) -> None:
        """Write that the job has started."""
        self._job, self._job_started = f"{pipeline}.{job}", time.monotonic()
        self.message(f"{self._number(self._job)} {self._job} ({hook}) started")

    def job_kept(self, pipeline: str, job: str, reason: str) -> None:
        """Write why the job does not run again."""
        self._show_end(f"{pipeline}.{job}", f"kept: {reason}")

    def job_done(self, pipeline: str, job: str, seconds: float, summary: str = "") -> None:
        """Write the duration and a summary of the outputs."""
        self._job = ""
        self._show_end(f"{pipeline}.{job}", f"done in {duration(seconds)}{': ' * bool(summary)}{summary}")

    def job_failed(self, pipeline: str, job: str, seconds: float, cause: str) -> None:
        """Write the first line of the cause."""
        self._job = ""
        self._show_end(f"{pipeline}.{job}", f"failed after {duration(seconds)}: {first_line(cause)}")

    def job_skipped(self, pipeline: str, job: str, because_of: str) -> None:
        """Write why the job does not run."""
        self._show_end(f"{pipeline}.{job}", f"skipped: {because_of} failed")

    def run_done(self, seconds: float, n_run: int, n_kept: int, notes: Sequence[str] = ()) -> None:
        """Write the duration and the notes."""
        self.close()
        kept = f", {n_kept} kept" if n_kept else ""
        self.message(f"done in {duration(seconds)}: {_count(n_run, 'job')} run{kept}")
        for note in notes:
            self.message(f"  {note}")

    def failure(self, job: str, cause: str, log_path: str, command: str) -> None:
        """Write the cause, the log's path and the command that continues the run."""
        self.close()
        self.message(f"FAILED: {job}\n  cause: {indented(cause)}\n  log: {log_path}\n  to continue: {command}")

    def failures(self, failed: Sequence[FailedJob], skipped: Sequence[SkippedJob], command: str) -> None:
        """Write the causes, what was skipped, and the command that continues the run."""
        self.close()
        self.message(f"FAILED: {failure_list(failed, skipped)}\n  to continue: {command}")

    def message(self, text: str) -> None:
        """Write a line."""
        self._written = time.monotonic()
        self.stream.write(escape_controls(text) + "\n")
        self.stream.flush()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table that fits into 100 columns."""
        self.message("\n".join(["", *lay_out(title, columns, rows, WIDTH).lines(), ""]))

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[PlainTask]:
        """A task of a component."""
        task = PlainTask(self, description, total)
        self._tasks.append(task)
        try:
            yield task
        finally:
            self._tasks.remove(task)

    def running(self, state: RunState) -> None:
        """Keep the state for the regular lines."""
        self._state = state
        self.write_progress()

    def close(self) -> None:
        """Stop the regular lines."""
        if self._ended is not None:
            self._ended.set()

    def write_progress(self) -> None:
        """Write how far the job is, if nothing was written for `EVERY` seconds."""
        if time.monotonic() - self._written < EVERY:
            return
        if self._state is not None:
            self.message(f"  {in_short(self._state, MAX_TASKS)}")
            return
        tasks = self._tasks[:MAX_TASKS]
        states = [task.state(task is not tasks[-1]) for task in tasks]
        if not states and not self._job:
            return
        if not states:
            states = [f"{self._job} has run for {duration(time.monotonic() - self._job_started)}"]
        remaining = next((seconds for task in tasks if (seconds := task.remaining()) is not None), None)
        states += [] if remaining is None else [f"about {duration(remaining)} left"]
        self.message("  " + ", ".join(states))

    def _write_regularly(self, ended: threading.Event) -> None:
        """Write the progress also while a job reports nothing."""
        while not ended.wait(EVERY / 3):
            self.write_progress()

    def _show_end(self, job: str, text: str) -> None:
        self.message(f"{self._number(job)} {job} {text}")
        self._numbers.pop(job, None)  # a probe and its refine job have one name

    def _number(self, job: str) -> str:
        if job not in self._numbers:
            self._n_seen += 1
            self._numbers[job] = self._n_seen
        return f"[{self._numbers[job]}/{self._n_jobs}]"


class PlainTask:
    """A task, shown in the lines that the view writes every `EVERY` seconds; a shorter task writes nothing."""

    def __init__(self, view: PlainView, description: str, total: float | None):
        self._view, self._description, self._total = view, description, total
        self._completed, self._note, self._started = 0.0, "", time.monotonic()

    def advance(self, amount: float = 1) -> None:
        """Increase the completed amount."""
        self._completed += amount
        self._view.write_progress()

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set the completed amount, the total, or the note."""
        self._completed = self._completed if completed is None else completed
        self._total = self._total if total is None else total
        self._note = self._note if note is None else note
        self._view.write_progress()

    def state(self, has_inner: bool) -> str:
        """The state in words: `model 3 of 30` while an inner task runs, else `training: 30/100  loss 2`."""
        if has_inner and self._total:
            return f"{self._description} {min(self._completed + 1, self._total):g} of {self._total:g}"
        total_text = f"/{self._total:g}" if self._total else ""
        return f"{self._description}: {self._completed:g}{total_text}{'  ' * bool(self._note)}{self._note}"

    def remaining(self) -> float | None:
        """Seconds until the end at the speed so far; None if unknown."""
        if not self._total or self._completed <= 0:
            return None
        elapsed = time.monotonic() - self._started
        return elapsed / self._completed * max(self._total - self._completed, 0)


def first_line(text: str) -> str:
    """The first line of an error."""
    return text.strip().partition("\n")[0]


def indented(text: str) -> str:
    """Indent the following lines of a text, to be written after a label."""
    return text.strip().replace("\n", "\n    ")


def failure_list(failed: Sequence[FailedJob], skipped: Sequence[SkippedJob]) -> str:
    """The jobs that failed, and why; and those that were skipped for them."""
    skipped_text = f", {_count(len(skipped), 'job')} skipped" if skipped else ""
    lines = [f"{_count(len(failed), 'job')}{skipped_text}"]
    for job in failed:
        lines.append(f"  {job.label}\n    cause: {indented(job.cause)}\n    log: {job.log}")
    lines += [f"  {job.label} was skipped: {job.because_of} failed" for job in skipped]
    return "\n".join(lines)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s'[: number != 1]}"
