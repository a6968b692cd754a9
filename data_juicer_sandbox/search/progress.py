"""Reports the start and the result of a trial to the study, the metrics, the log and the terminal."""

from __future__ import annotations

import time

from loguru import logger

from data_juicer_sandbox.config.space import format_parameters
from data_juicer_sandbox.engine.runner import RunContext
from data_juicer_sandbox.search.artifacts import SearchArtifacts
from data_juicer_sandbox.search.controller import FAILED, SECONDS, SearchController, TrialResult, TrialSpec
from data_juicer_sandbox.terminal.view import duration


def announce(spec: TrialSpec, controller: SearchController, jobs: int, run_context: RunContext) -> None:
    """Report the start of a trial to the log and the screen.

    Args:
        spec: the trial.
        controller: the search.
        jobs: the number of jobs of a trial.
        run_context: the run.
    """
    again = ", begun before" if spec.again else ""
    logger.info("trial {} starts{}: {}", spec.number, again, dict(spec.values))
    run_context.screen.pass_started(f"{_count(spec, controller)}{again}: {format_parameters(spec.values)}", jobs)


def _count(spec: TrialSpec, controller: SearchController) -> str:
    """`trial 1 (2 of 6, about 3 min left)`: its number from 0, its position, and the time that the rest will take."""
    if controller.limit is None:
        return f"trial {spec.number}"
    durations = [seconds for trial in controller.trials() if (seconds := trial.user_attrs.get(SECONDS))]
    rest = (controller.limit - spec.number) / controller.sweep.n_jobs
    time_left = f", about {duration(rest * sum(durations) / len(durations))} left" if durations else ""
    return f"trial {spec.number} ({spec.number + 1} of {controller.limit}{time_left})"


def record_result(
    controller: SearchController,
    spec: TrialSpec,
    outcome: TrialResult,
    run_context: RunContext,
    artifacts: SearchArtifacts,
) -> None:
    """Record a trial's result in the study, the metrics, the log and on the screen."""
    known_fault = controller.pruning_fault
    controller.tell(spec.number, outcome)
    if controller.pruning_fault is not None and known_fault is None:
        logger.warning(controller.pruning_fault)
    metrics = {metric.name: value for metric, value in zip(controller.sweep.metrics, outcome.values, strict=False)}
    run_context.watcher.watch("search", "trial", {"state": outcome.state, **metrics}, step=spec.number)
    logger.info("trial {} is {}: {}", spec.number, outcome.state, outcome.error or outcome.note or metrics)
    text = f"trial {spec.number} {outcome.state} after {duration(outcome.seconds)}"
    if outcome.state == FAILED:
        text += f": {outcome.error}"
    elif outcome.note:
        text += f": {outcome.note}"
    elif metrics:
        best = controller.best()[0]
        ahead = "the best so far" if best.number == spec.number else f"best: trial {best.number}, {best.values[0]:.5g}"
        text += ": " + ", ".join(f"{name} = {value:.5g}" for name, value in metrics.items()) + f" ({ahead})"
    run_context.screen.message(text)
    artifacts.write_if_due(time.monotonic())
