"""Checks that an interrupted component ends at once and leaves no partial output."""

from __future__ import annotations

from collections.abc import Iterator

from data_juicer_sandbox.engine.runner import TrialPruned
from data_juicer_sandbox.testing.observation import Bench, Observation, unfinished_tasks
from data_juicer_sandbox.testing.recorders import PROGRESS, RENAME, WATCH, Interruption
from data_juicer_sandbox.testing.reporting import describe


def lets_interruptions_through(bench: Bench, deterministic: bool) -> Iterator[str]:
    """KeyboardInterrupt and the end of a search's trial come out of `run`, and no partial output is there then."""
    first = bench.first()
    for title, interruption in _interruptions(first.events.counts):
        with bench.fresh():
            stopped = bench.observe(interruption)
        yield from (f"{title}: {problem}" for problem in _problems(bench, first, stopped, interruption, deterministic))


def _interruptions(counts: dict[str, int]) -> Iterator[tuple[str, Interruption]]:
    """The exceptions to raise, as far as a run without them gave occasion."""
    if counts.get(WATCH):
        yield "a search ends the trial in `watch(step=...)`", Interruption(TrialPruned("conformance"), WATCH)
        yield "Ctrl+C in `watch(step=...)`", Interruption(KeyboardInterrupt(), WATCH, counts[WATCH])
    if counts.get(PROGRESS):
        middle = counts[PROGRESS] // 2 + 1
        yield "Ctrl+C while a progress task advances", Interruption(KeyboardInterrupt(), PROGRESS, middle)
    if counts.get(RENAME):
        yield "Ctrl+C when a file is complete", Interruption(KeyboardInterrupt(), RENAME, counts[RENAME])


def _problems(
    bench: Bench, first: Observation, stopped: Observation, interruption: Interruption, deterministic: bool
) -> Iterator[str]:
    name = type(interruption.error).__name__
    if stopped.events.counts.get(interruption.event, 0) < interruption.number:
        return  # this run gave no occasion
    if stopped.error is None:
        yield f"{name} is caught, and `run` goes on; use `finally`, not `except Exception`"
    elif stopped.error is not interruption.error and not isinstance(stopped.error, KeyboardInterrupt):
        yield f"{name} is replaced by {describe(stopped.error)}"
    if stopped.error is None:
        return
    for path in stopped.written:
        if bench.in_job_folder(path):
            continue
        if path not in first.after:
            yield f"{path} is left behind"
        elif deterministic and stopped.after[path] != first.after[path]:
            yield f"{path} is incomplete; write it through `files.replacing`"
    for path in stopped.before:
        if path not in stopped.after:
            yield f"{path} is removed"
    for description in unfinished_tasks(stopped.events.tasks):
        yield f"the task {description!r} is not closed"
    yield from (change for change in stopped.state_changes if "thread" in change or "child process" in change)
