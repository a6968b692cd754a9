"""Iterations: repeat the pipelines, pass results to the next iteration, stop at a target or a budget."""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.config.schema import SandboxConfig, Target
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.context.key_paths import get_path
from data_juicer_sandbox.context.keys import ContextKey
from data_juicer_sandbox.engine.planner import Step, forecast_of, make_plan
from data_juicer_sandbox.engine.runner import RunContext, runner_class
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.errors import ResolveError, SandboxError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import LibraryObject, Metrics
from data_juicer_sandbox.watchers.base import to_json
from data_juicer_sandbox.workflow.fingerprints import FingerprintCache
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.overrides import Overrides, resolve_parameter, with_overrides
from data_juicer_sandbox.workflow.planned_job import PlannedJob

HISTORY = "iterations.json"
_OPS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq}


class TargetError(SandboxError):
    """A target cannot be evaluated, or a result cannot be passed to the next iteration."""


@dataclass(frozen=True)
class Iterations:
    """The result of all iterations.

    Args:
        history: one row per iteration: its number, the value of each target, whether they hold, the seconds.
        reason: why the iterations stopped.
        ran: labels of the jobs that ran, in all iterations.
        kept: labels of the jobs that were kept.
    """

    history: list[Metrics]
    reason: str
    ran: list[str]
    kept: list[str]

    def table(self) -> Table:
        """The history as a table."""
        columns = list(dict.fromkeys(name for row in self.history for name in row))
        return Table(
            f"iterations: {self.reason}", columns, [[row.get(name) for name in columns] for row in self.history]
        )


def iterate(config: SandboxConfig, planned_jobs: Sequence[PlannedJob], run_context: RunContext) -> Iterations:
    """Repeat the jobs until a stopping rule holds.

    Raises:
        JobFailed: a job failed.
        TargetError: the value of a target is missing or not a number.
    """
    iterations = Iterations([], "", [], [])
    reason = None
    while reason is None:
        number = len(iterations.history) + 1
        run_context.context.turn_to(number - 1)
        jobs, relocator = prepare_jobs(
            config, planned_jobs, number, carried_results(config, run_context.context, number)
        )
        runner = runner_class(run_context.parallel)(jobs, relocator, run_context)
        run_context.watcher.turn_to(number)
        steps = runner.plan()
        if config.max_iter_num != 1:
            run_context.screen.pass_started(f"iteration {number}", len(jobs))
            logger.info("iteration {}", number)
        runner.execute(steps)
        iterations.ran.extend(runner.ran)
        iterations.kept.extend(runner.kept)
        iterations.history.append(_history_row(config, run_context.context, number))
        reason = stop_reason(config, iterations.history)
        if len(iterations.history) > 1 or config.iter_targets:
            _write_history(Path(config.work_dir), iterations.history, reason)
    if len(run_context.context.iterations) > len(iterations.history):  # records of an earlier run with more iterations
        run_context.context.end_with(len(iterations.history) - 1)
        run_context.checkpoint.write(run_context.context)
    logger.info("no more iterations: {}", reason)
    return replace(iterations, reason=reason)


def plan_iterations(config: SandboxConfig, planned_jobs: Sequence[PlannedJob], context: ContextInfos) -> list[Step]:
    """The plan of the first iteration with a job to run, or else of the last recorded one."""
    fingerprints, number = FingerprintCache(), 1
    while True:
        context.turn_to(number - 1)
        jobs, relocator = prepare_jobs(config, planned_jobs, number, carried_results(config, context, number))
        forecast = forecast_of(config, relocator, fingerprints)
        steps = make_plan(jobs, context, fingerprints, config.variables, relocator, forecast=forecast)
        if number == len(context.iterations) or any(step.runs for step in steps):
            return steps
        number += 1


def prepare_jobs(
    config: SandboxConfig, planned_jobs: Sequence[PlannedJob], number: int, updates: Mapping[str, object]
) -> tuple[list[PlannedJob], PathRelocator]:
    """The jobs of an iteration, updated with results of the previous one, and the relocator of their outputs.

    Args:
        config: the config of the run.
        planned_jobs: its jobs as written.
        number: the number of the iteration, from 1.
        updates: values by `<pipeline>.<meta_name>.<key to set>`.
    """
    folder = f"iter_{number}" if config.max_iter_num != 1 or config.iter_subdir else ""
    overrides: Overrides = {}
    for name, value in updates.items():
        for planned_job, key in resolve_parameter(name, planned_jobs):
            overrides.setdefault(planned_job.job.id, {})[key] = value
    jobs = with_overrides(planned_jobs, overrides, config.variables)
    return jobs, PathRelocator.of(Path(config.work_dir), folder, jobs)


def carried_results(config: SandboxConfig, context: ContextInfos, number: int) -> dict[str, LibraryObject]:
    """The results of the previous iteration that `iter_updater` passes on, by the key that they set."""
    if number == 1:
        return {}
    return {
        updated_key: iteration_result(context, source, number - 1)
        for source, updated_key in config.iter_updater.items()
    }


def iteration_result(context: ContextInfos, key: str, number: int) -> LibraryObject:
    """A result of an iteration.

    Raises:
        TargetError: the result does not exist.
    """
    context_key = ContextKey.parse(key)
    for record in reversed(list(context.iterations[number - 1].get(context_key.pipeline, {}).values())):
        if record.done and record.meta_name == context_key.job and context_key.output in record.outputs:
            try:
                return get_path(record.outputs, context_key.path)
            except ResolveError as error:
                raise TargetError(f"{key!r} is not among the results of iteration {number}: {error}") from error
    raise TargetError(f"{key!r} is not among the results of iteration {number}")


def _history_row(config: SandboxConfig, context: ContextInfos, number: int) -> Metrics:
    values = {target.key: target_value(context, target, number) for target in config.iter_targets}
    holding = [_OPS[target.op](values[target.key], target.number) for target in config.iter_targets]
    records = [record for pipeline in context.iterations[number - 1].values() for record in pipeline.values()]
    row: Metrics = {"iteration": number, **values}
    if holding:
        row["targets hold"] = all(holding) if config.iter_targets_mode == "all" else any(holding)
    return {**row, "seconds": round(sum(record.provenance.seconds or 0.0 for record in records), 3)}


def target_value(context: ContextInfos, target: Target, number: int) -> float:
    """The value of a target after an iteration.

    Raises:
        TargetError: it is missing or not a number.
    """
    value = iteration_result(context, target.key, number)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise TargetError(
            f"the target {target.key!r} is {shown(value)} after iteration {number}, which is not a number"
        )
    return value


def stop_reason(config: SandboxConfig, history: Sequence[Metrics]) -> str | None:
    """The reason to stop after these iterations, or None to continue."""
    if history[-1].get("targets hold"):
        return "the targets hold" if len(config.iter_targets) > 1 else "the target holds"
    if config.max_iter_num and len(history) >= config.max_iter_num:
        return f"max_iter_num {config.max_iter_num} is reached"
    hours = sum(row["seconds"] for row in history) / 3600
    if config.max_hours is not None and hours >= config.max_hours:
        return f"max_hours {config.max_hours:g} is reached"
    if config.patience and config.iter_targets:
        distances = [_distance(config.iter_targets[0], row) for row in history]
        iterations_without_gain = len(distances) - 1 - distances.index(min(distances))
        if iterations_without_gain >= config.patience:
            return f"no gain in {iterations_without_gain} iterations (patience {config.patience})"
    return None


def _distance(target: Target, row: Metrics) -> float:
    """A loss of a target's value: smaller is better, also beyond the target."""
    value = float(row[target.key])
    return -value if ">" in target.op else value if "<" in target.op else abs(value - target.number)


def _write_history(folder: Path, history: Sequence[Mapping[str, object]], reason: str | None) -> None:
    with replacing(folder / HISTORY) as part:
        rows = [{name: to_json(value) for name, value in row.items()} for row in history]
        text = json.dumps({"written": time.time(), "stopped": reason, "iterations": rows}, indent=1)
        part.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
