"""What is said of a trial, and where: the study, the metrics, the log, the screen."""

from __future__ import annotations

import time

from loguru import logger

from data_juicer_sandbox.engine.runner import RunContext
from data_juicer_sandbox.search.artifacts import SearchArtifacts
from data_juicer_sandbox.search.controller import FAILED, SearchController, TrialResult, TrialSpec
from data_juicer_sandbox.search.space import shown
from data_juicer_sandbox.terminal.view import duration


def announce(given: TrialSpec, jobs: int, setting: RunContext) -> None:
    """Say that a trial begins."""
    again = ", begun before" if given.again else ""
    logger.info("trial {} starts{}: {}", given.number, again, dict(given.values))
    setting.screen.pass_started(f"trial {given.number}{again}: {shown(given.values)}", jobs)


def settle(
    board: SearchController, given: TrialSpec, outcome: TrialResult, setting: RunContext, files: SearchArtifacts
) -> None:
    """Record a trial's outcome, in the study, the metrics and on the screen."""
    known_fault = board.pruning_fault
    board.finish(given.number, outcome)
    if board.pruning_fault is not None and known_fault is None:
        logger.warning(board.pruning_fault)
    metrics = {metric.name: value for metric, value in zip(board.sweep.metrics, outcome.values, strict=False)}
    setting.watcher.watch("search", "trial", {"state": outcome.state, **metrics}, step=given.number)
    logger.info("trial {} is {}: {}", given.number, outcome.state, outcome.error or outcome.note or metrics)
    text = f"trial {given.number} {outcome.state} after {duration(outcome.seconds)}"
    if outcome.state == FAILED:
        text += f": {outcome.error}"
    elif outcome.note:
        text += f": {outcome.note}"
    elif metrics:
        best = board.best()[0]
        ahead = "the best so far" if best.number == given.number else f"best: trial {best.number}, {best.values[0]:.5g}"
        text += ": " + ", ".join(f"{name} = {value:.5g}" for name, value in metrics.items()) + f" ({ahead})"
    setting.screen.message(text)
    files.write_now_and_then(time.monotonic())
