"""Plan and run a config. The command line calls nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.processes import orphan_guard
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.context.lock import locked
from data_juicer_sandbox.engine.iterations import iterate, plan_iterations
from data_juicer_sandbox.engine.planner import Step
from data_juicer_sandbox.engine.runner import JobFailed
from data_juicer_sandbox.engine.session import session
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.output_guard import refuse_links
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.validation import validated_jobs

__all__ = ["JobFailed", "Result", "plan", "run"]


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Args:
        context: all outputs.
        ran: labels of the jobs that ran.
        kept: labels of the jobs that were kept.
        seconds: how long it took.
        tables: how its iterations or trials went.
        notes: lines that say where things lie.
    """

    context: ContextInfos
    ran: tuple[str, ...]
    kept: tuple[str, ...]
    seconds: float
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def plan(config: SandboxConfig, *, trust_checkpoint: bool = False) -> list[Step]:
    """The plan of a run as it would be made now. Changes nothing.

    Raises:
        ConfigErrors: the config is wrong.
        CheckpointError: there is a checkpoint, and it is damaged.
    """
    planned_jobs, _ = validated_jobs(config)
    checkpoint = Checkpoint(Path(config.work_dir))
    context = ContextInfos()
    if config.resume and checkpoint.exists():
        context = checkpoint.read(trust=trust_checkpoint)
    if config.sweep is not None:
        from data_juicer_sandbox.search import search

        return search.plan_search(config, config.sweep, planned_jobs, context)
    return plan_iterations(config, planned_jobs, context)


def run(config: SandboxConfig, screen: View, *, trust_checkpoint: bool = False) -> Result:
    """Carry a config out.

    Args:
        config: the run.
        screen: where people see how far it is.
        trust_checkpoint: also read a checkpoint of an earlier version that holds Python objects.

    Raises:
        ConfigErrors: the config is wrong; nothing was touched.
        WorkDirError: the work directory is in use, or cannot be written.
        CheckpointError: the checkpoint is damaged, or could not be written.
        JobFailed: a job did; everything finished before it is kept.
    """
    planned_jobs, warnings = validated_jobs(config)
    orphan_guard.install()
    work_dir = Path(config.work_dir)
    refuse_links(work_dir)
    with locked(work_dir), session(config, screen, trust_checkpoint) as run_context:
        started = time.time()
        for warning in warnings:
            logger.warning(warning)
        screen.run_started(len(config.pipelines), len(planned_jobs))
        if config.sweep is not None:
            from data_juicer_sandbox.search.search import search  # Optuna takes a second and a half

            found = search(config, config.sweep, planned_jobs, run_context)
            seconds = time.time() - started
            return Result(run_context.context, tuple(found.ran), tuple(found.kept), seconds, found.tables, found.notes)
        made = iterate(config, planned_jobs, run_context)
        several = len(made.history) > 1 or bool(config.iter_targets)
        tables = (made.table(),) if several else ()
        return Result(run_context.context, tuple(made.ran), tuple(made.kept), time.time() - started, tables)
