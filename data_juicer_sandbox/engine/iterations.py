"""Iterations: repeat the pipelines, carry results into the next pass, stop at a target or a budget."""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.config.schema import SandboxConfig, Target
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.context.key_paths import get_path
from data_juicer_sandbox.engine.planner import Step, make_plan
from data_juicer_sandbox.engine.runner import PipelineRunner, RunContext
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.errors import ResolveError, SandboxError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.workflow.fingerprints import FingerprintCache
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.overrides import Overrides, resolve_parameter, with_overrides
from data_juicer_sandbox.workflow.planned_job import PlannedJob

HISTORY = "iterations.json"
_OPS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq}


class TargetError(SandboxError):
    """A target cannot be judged, or a result cannot be carried on."""


@dataclass(frozen=True)
class Iterations:
    """How the passes came out.

    Args:
        history: for each pass its number, the value of each target, whether they hold, and seconds.
        reason: why no more were made.
        ran: labels of the jobs that ran, in all passes.
        kept: labels of the jobs that were kept.
    """

    history: list[dict[str, Any]]
    reason: str
    ran: list[str]
    kept: list[str]

    def table(self) -> Table:
        """The history."""
        columns = list(dict.fromkeys(name for row in self.history for name in row))
        return Table(
            f"iterations: {self.reason}", columns, [[row.get(name) for name in columns] for row in self.history]
        )


def iterate(config: SandboxConfig, views: Sequence[PlannedJob], run_context: RunContext) -> Iterations:
    """Make passes until there is a reason to stop.

    Raises:
        JobFailed: a job did.
        TargetError: a target's value is missing or no number; names it.
    """
    made = Iterations([], "", [], [])
    reason = None
    while reason is None:
        number = len(made.history) + 1
        run_context.context.turn_to(number - 1)
        jobs, relocator = prepared(config, views, number, carried(config, run_context.context, number))
        one = PipelineRunner(jobs, relocator, run_context)
        run_context.watcher.turn_to(number)
        steps = one.plan()
        if config.max_iter_num != 1:
            run_context.screen.pass_started(f"iteration {number}", len(jobs))
            logger.info("iteration {}", number)
        one.execute(steps)
        made.ran.extend(one.ran)
        made.kept.extend(one.kept)
        made.history.append(_measured(config, run_context.context, number))
        reason = stop(config, made.history)
        if len(made.history) > 1 or config.iter_targets:
            _write(Path(config.work_dir), made.history, reason)
    if len(run_context.context.iterations) > len(made.history):  # left by a run that went further
        run_context.context.end_with(len(made.history) - 1)
        run_context.checkpoint.write(run_context.context)
    logger.info("no more iterations: {}", reason)
    return replace(made, reason=reason)


def plan_of(config: SandboxConfig, views: Sequence[PlannedJob], context: ContextInfos) -> list[Step]:
    """The plan of the first pass in which something is left to do, or of the last one there is."""
    fingerprints, number = FingerprintCache(), 1
    while True:
        context.turn_to(number - 1)
        jobs, relocator = prepared(config, views, number, carried(config, context, number))
        steps = make_plan(jobs, context, fingerprints, config.variables, relocator)
        if number == len(context.iterations) or any(step.runs for step in steps):
            return steps
        number += 1


def prepared(
    config: SandboxConfig, views: Sequence[PlannedJob], number: int, updates: Mapping[str, Any]
) -> tuple[list[PlannedJob], PathRelocator]:
    """The jobs of a pass, with what the one before it carries into them, and where they write.

    Args:
        config: the run.
        views: its jobs as they are written.
        number: of the pass, from 1.
        updates: `<pipeline>.<meta_name>.<key to set>` and value.
    """
    folder = f"iter_{number}" if config.max_iter_num != 1 or config.iter_subdir else ""
    changes: Overrides = {}
    for name, value in updates.items():
        for one, key in resolve_parameter(name, views):
            changes.setdefault(one.job.id, {})[key] = value
    jobs = with_overrides(views, changes, config.variables)
    return jobs, PathRelocator.of(Path(config.work_dir), folder, jobs)


def carried(config: SandboxConfig, context: ContextInfos, number: int) -> dict[str, Any]:
    """What the pass before this one hands on, by the key it sets."""
    if number == 1:
        return {}
    return {wanted: value_of(context, source, number - 1) for source, wanted in config.iter_updater.items()}


def value_of(context: ContextInfos, key: str, number: int) -> Any:
    """A result of a pass.

    Raises:
        TargetError: it is not there.
    """
    pipeline, _, rest = key.partition(".")
    name, _, way = rest.partition(".")
    for record in reversed(list(context.iterations[number - 1].get(pipeline, {}).values())):
        if record.done and record.meta_name == name and way.partition(".")[0] in record.outputs:
            try:
                return get_path(record.outputs, way)
            except ResolveError as error:
                raise TargetError(f"{key!r} is not among the results of iteration {number}: {error}") from error
    raise TargetError(f"{key!r} is not among the results of iteration {number}")


def _measured(config: SandboxConfig, context: ContextInfos, number: int) -> dict[str, Any]:
    values = {target.key: number_of(context, target, number) for target in config.iter_targets}
    holding = [_OPS[target.op](values[target.key], target.number) for target in config.iter_targets]
    records = [record for pipeline in context.iterations[number - 1].values() for record in pipeline.values()]
    facts: dict[str, Any] = {"iteration": number, **values}
    if holding:
        facts["targets hold"] = all(holding) if config.iter_targets_mode == "all" else any(holding)
    return {**facts, "seconds": round(sum(record.job.get("seconds", 0.0) for record in records), 3)}


def number_of(context: ContextInfos, target: Target, number: int) -> float:
    """The value of a target after a pass.

    Raises:
        TargetError: it is missing, or no number.
    """
    value = value_of(context, target.key, number)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise TargetError(f"the target {target.key!r} is {shown(value)} after iteration {number}, which is no number")
    return value


def stop(config: SandboxConfig, history: Sequence[Mapping[str, Any]]) -> str | None:
    """Why no pass follows these, or None."""
    if history[-1].get("targets hold"):
        return "the targets hold" if len(config.iter_targets) > 1 else "the target holds"
    if config.max_iter_num and len(history) >= config.max_iter_num:
        return f"max_iter_num {config.max_iter_num} is reached"
    hours = sum(row["seconds"] for row in history) / 3600
    if config.max_hours is not None and hours >= config.max_hours:
        return f"max_hours {config.max_hours:g} are spent"
    if config.patience and config.iter_targets:
        gains = [_distance(config.iter_targets[0], row) for row in history]
        since = len(gains) - 1 - gains.index(min(gains))
        if since >= config.patience:
            return f"no gain in {since} iterations (patience {config.patience})"
    return None


def _distance(target: Target, row: Mapping[str, Any]) -> float:
    """How far a value is from where a target wants it; the less the better, also beyond the target."""
    value = float(row[target.key])
    return -value if ">" in target.op else value if "<" in target.op else abs(value - target.number)


def _write(folder: Path, history: Sequence[Mapping[str, Any]], reason: str | None) -> None:
    with replacing(folder / HISTORY) as part:
        text = json.dumps({"written": time.time(), "stopped": reason, "iterations": list(history)}, indent=1)
        part.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
