"""`dj-sandbox status --work_dir DIR`: what a run is doing now, from another terminal."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.cli.options import add_work_dir, work_dir_of
from data_juicer_sandbox.errors import SandboxError, WorkDirError

if TYPE_CHECKING:
    from data_juicer_sandbox.parallel.status import Status
    from data_juicer_sandbox.terminal.view import View

NAME = "status"
HELP = "show what a run is doing now: its running tasks and the numbers of jobs"
EVERY = 1.0
"""Seconds between two looks at a run that is watched."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_work_dir(parser)
    parser.add_argument("--watch", action="store_true", help="show it until the run has ended")


def run(args: argparse.Namespace) -> int:
    """Show the state of a run; returns the exit code."""
    from data_juicer_sandbox.terminal.progress import view_for

    screen = view_for(sys.stdout)
    try:
        work_dir = Path(work_dir_of(args))
        while show(screen, work_dir, watch=args.watch) and args.watch:
            time.sleep(EVERY)
    except SandboxError as error:
        screen.close()
        print(f"dj-sandbox: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        screen.close()
    return 0


def show(screen: View, work_dir: Path, *, watch: bool = False) -> bool:
    """Show the state of a run once.

    Args:
        screen: shows it.
        work_dir: the work directory of the run.
        watch: whether the screen shows it again and again: a table that is redrawn, or a line every 30 seconds.

    Returns:
        whether a run is going on.

    Raises:
        WorkDirError: no run has used the folder, or the file with the state is damaged.
        CheckpointError: the checkpoint is damaged.
    """
    from data_juicer_sandbox.context.lock import lock_owner
    from data_juicer_sandbox.parallel.status import read_status

    if (owner := lock_owner(work_dir)) is None:
        screen.close()
        _show_results(screen, work_dir)
        return False
    try:
        status = read_status(work_dir)
    except (ValueError, OSError) as error:
        raise WorkDirError(f"the state of the run cannot be read: {error}") from error
    if status is None:
        if not watch:
            screen.message(f"{owner} is using {work_dir}, and no job has started yet")
    elif watch:
        screen.running(status.state)
    else:
        _show_tasks(screen, owner, status)
    return True


def _show_tasks(screen: View, owner: str, status: Status) -> None:
    from data_juicer_sandbox.terminal.task_table import COLUMNS, counts, ordered, task_rows

    title = f"{owner}, backend {status.backend}: {counts(status.state)}"
    if status.state.tasks:
        screen.table(title, COLUMNS, task_rows(ordered(status.state)))
    else:
        screen.message(title)


def _show_results(screen: View, work_dir: Path) -> None:
    """Show what the checkpoint says about a run that is not going on."""
    from data_juicer_sandbox.results import load_results
    from data_juicer_sandbox.terminal.plain_view import first_line

    records = [
        (f"{pipeline}.{record.meta_name}", record) for pipeline, record in load_results(work_dir).context.records()
    ]
    failed = [(label, record) for label, record in records if not record.done]
    n_done = len(records) - len(failed)
    jobs = f"{n_done} job{'s'[: n_done != 1]} done{f', {len(failed)} failed' if failed else ''}"
    screen.message(f"no run is going on in {work_dir}: {jobs}")
    for label, record in failed:
        screen.message(f"  {label} failed: {first_line(str(record.provenance.error))}")
