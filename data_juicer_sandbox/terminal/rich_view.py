"""`RichView`: the view on a terminal; progress bars for pipelines, jobs and tasks, below the scrolling lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from data_juicer_sandbox.control_characters import escape_controls, one_line
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.plain_view import failure_list, first_line, indented
from data_juicer_sandbox.terminal.tables import lay_out, shortened
from data_juicer_sandbox.terminal.task_table import COLUMNS, QUEUED, counts, ordered, task_rows
from data_juicer_sandbox.terminal.view import FailedJob, RunState, SkippedJob, View, duration

_NO_TASK = TaskID(-1)
_LONGEST = 32
"""Characters of a task's description."""
_OTHER_LINES = 4
"""Lines of the terminal that the table of tasks leaves free: its header, the bars, and the cursor."""
_OTHER_COLUMNS, _BAR, _SHORTEST = 44, 8, 12
"""Characters of a line of that table besides the task and its progress; of a bar; that a shortened text keeps."""
_FRAME, _BETWEEN = 4, 3
"""Characters of a table's left and right edge, and between two columns."""


class RichView(View):
    """Draws progress bars with rich, which decides on colours by NO_COLOR and the terminal."""

    def __init__(self, stream: TextIO):
        super().__init__(stream)
        self.console = Console(file=stream, highlight=False)
        self._bars = _Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10, table_column=Column(min_width=10)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=5)),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            _TimeLeft(compact=True, table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[note]}",
                markup=False,
                style="dim",
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            expand=True,
            console=self.console,
            transient=True,
            refresh_per_second=8,
        )
        self._pipelines = self._jobs = _NO_TASK
        self._n_pipelines = 0

    def run_started(self, n_pipelines: int, n_jobs: int) -> None:
        """Start the bars."""
        if n_pipelines > 1:
            self._pipelines = self._bars.add_task("pipelines", total=n_pipelines, note="")
        self._jobs = self._bars.add_task("jobs", total=n_jobs, note="")
        self._n_pipelines = 0
        self._bars.start()
        logs.show_through(self._show)

    def pass_started(self, title: str, n_jobs: int) -> None:
        """Reset the bars."""
        self._n_pipelines = 0
        self._bars.show_tasks(None)
        self._bars.reset(self._jobs, total=n_jobs)
        if self._pipelines != _NO_TASK:
            self._bars.reset(self._pipelines)
        self.message(title)

    def pipeline_started(self, name: str) -> None:
        """Show the pipeline's name."""
        if self._pipelines != _NO_TASK:
            self._bars.update(self._pipelines, completed=self._n_pipelines, note=one_line(name))
        self._n_pipelines += 1

    def job_started(self, pipeline: str, job: str, hook: str) -> None:
        """Show the job's name."""
        self._bars.update(self._jobs, note=one_line(f"{pipeline}.{job} ({hook})"))

    def job_kept(self, pipeline: str, job: str, reason: str) -> None:
        """Print why the job does not run again."""
        self._line("=", "cyan", f"{pipeline}.{job}", f"kept: {reason}")

    def job_done(self, pipeline: str, job: str, seconds: float, summary: str = "") -> None:
        """Print the duration and a summary of the outputs."""
        self._line("✓", "green", f"{pipeline}.{job}", "  ".join(filter(None, [duration(seconds), summary])))

    def job_failed(self, pipeline: str, job: str, seconds: float, cause: str) -> None:
        """Print the first line of the cause."""
        self._line("✗", "red", f"{pipeline}.{job}", f"{duration(seconds)}  {first_line(cause)}")

    def job_skipped(self, pipeline: str, job: str, because_of: str) -> None:
        """Print why the job does not run."""
        self._line("-", "yellow", f"{pipeline}.{job}", f"skipped: {because_of} failed")

    def run_done(self, seconds: float, n_run: int, n_kept: int, notes: Sequence[str] = ()) -> None:
        """Print the duration and the notes."""
        self.close()
        kept = f", {n_kept} kept" if n_kept else ""
        self.console.print(Text.assemble(("done", "bold green"), f" in {duration(seconds)}: {n_run} run{kept}"))
        for note in notes:
            self.message(f"  {note}")

    def failure(self, job: str, cause: str, log_path: str, command: str) -> None:
        """Print the cause, the log's path and the command that continues the run."""
        self._failed(f"{job}\n  cause: {indented(cause)}\n  log: {log_path}", command)

    def failures(self, failed: Sequence[FailedJob], skipped: Sequence[SkippedJob], command: str) -> None:
        """Print the causes, what was skipped, and the command that continues the run."""
        self._failed(failure_list(failed, skipped), command)

    def message(self, text: str) -> None:
        """Write a line."""
        self.console.print(Text(escape_controls(text)), soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table."""
        layout = lay_out(title, columns, rows, self.console.width - _FRAME, _BETWEEN)
        if sum(layout.widths) + _BETWEEN * (len(layout.widths) - 1) > self.console.width - _FRAME:
            self.message("\n".join(layout.lines()))  # rich would cut numbers
            return
        table = Table(title=Text(layout.title), title_justify="left")
        for column, is_right in zip(layout.columns, layout.is_right, strict=True):
            table.add_column(Text(column), justify="right" if is_right else "left", no_wrap=True)
        for row in layout.rows:
            table.add_row(*map(Text, row))
        self.console.print(table)

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[RichTask]:
        """A task of a component."""
        bar = self._bars.add_task(
            one_line(f"  {shortened(description, _LONGEST)}"), total=total, note="", is_timed=True
        )
        try:
            yield RichTask(self._bars, bar)
        finally:
            self._bars.remove_task(bar)

    def running(self, state: RunState) -> None:
        """Show a table of the tasks instead of the bar of pipelines."""
        if self._pipelines != _NO_TASK:
            self._bars.update(self._pipelines, visible=False)
        if self._jobs == _NO_TASK:  # another terminal shows the run
            self._jobs = self._bars.add_task("jobs", total=state.total, note="")
            self._bars.start()
        n_ended = state.done + state.failed
        self._bars.update(self._jobs, completed=n_ended, total=state.total, note=counts(state).partition(": ")[2])
        self._bars.show_tasks(state)

    def close(self) -> None:
        """Remove the bars."""
        self._bars.stop()
        logs.show_through(None)

    def _failed(self, text: str, command: str) -> None:
        self.close()
        self.console.print(
            Text.assemble(
                ("FAILED", "bold red"),
                escape_controls(f": {text}\n  to continue: "),
                (escape_controls(command), "bold"),
            ),
            soft_wrap=True,
        )

    def _line(self, sign: str, colour: str, job: str, rest: str) -> None:
        self._bars.advance(self._jobs)
        self._bars.update(self._jobs, note="")
        self.console.print(
            Text.assemble((sign, colour), one_line(f" {job}  "), (escape_controls(rest), "dim")), soft_wrap=True
        )

    def _show(self, text: str) -> None:
        colour = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}.get(text.partition(":")[0], "dim")
        self.console.print(Text(escape_controls(text), style=colour), soft_wrap=True)


class _Bars(Progress):
    """The bars, and below them a table of the tasks that run side by side, as far as they fit the terminal."""

    _state: RunState | None = None

    def show_tasks(self, state: RunState | None) -> None:
        """Show these tasks from now on; None: no table."""
        self._state = state

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars and the table."""
        yield from super().get_renderables()
        if self._state is not None and self._state.tasks:
            yield _task_table(self._state, self.console.width, self.console.height - _OTHER_LINES)


def _task_table(state: RunState, width: int, n_lines: int) -> RenderableType:
    tasks = ordered(state)
    n_shown = len(tasks) if len(tasks) <= n_lines else max(n_lines - 1, 1)
    limit = max((width - _OTHER_COLUMNS) // 2, _SHORTEST)
    table = Table(box=None, padding=(0, 2, 0, 0), expand=True, header_style="dim")
    for column in (*COLUMNS[:3], "", *COLUMNS[3:]):
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if column == "note" else None)
    for task, row in zip(tasks, task_rows(tasks[:n_shown]), strict=False):
        bar = ProgressBar(total=task.total, completed=task.completed, width=_BAR) if task.total else ""
        style = "dim" if task.where == QUEUED else ""
        texts = [Text(one_line(text if text is row[-1] else shortened(text, limit)), style=style) for text in row]
        table.add_row(*texts[:3], bar, *texts[3:])
    if len(tasks) == n_shown:
        return table
    queued = sum(task.where == QUEUED for task in tasks[n_shown:])
    more = f"and {len(tasks) - n_shown} more" + (f", {queued} of them queued" if queued else "")
    return Group(table, Text(more, style="dim"))


class _TimeLeft(TimeRemainingColumn):
    """The time that a task still takes; nothing for the bars of pipelines and jobs, which differ in duration."""

    def render(self, task: Task) -> Text:
        """The time, or nothing."""
        return Text(f"{super().render(task)} left", style="dim") if task.fields.get("is_timed") else Text("")


class RichTask:
    """A component's bar."""

    def __init__(self, bars: Progress, bar: TaskID):
        self._bars, self._bar = bars, bar

    def advance(self, amount: float = 1) -> None:
        """Increase the completed amount."""
        self._bars.advance(self._bar, amount)

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set the completed amount, the total, or the note."""
        fields = {} if note is None else {"note": one_line(note)}
        self._bars.update(self._bar, completed=completed, total=total, **fields)  # type: ignore[arg-type]
