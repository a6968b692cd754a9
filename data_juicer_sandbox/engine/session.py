"""A run: validate the config, lock the work directory, open the log and the watchers, execute, close them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.processes import orphan_guard
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.context.lock import locked
from data_juicer_sandbox.engine.iterations import iterate, plan_of
from data_juicer_sandbox.engine.planner import Step
from data_juicer_sandbox.engine.runner import JobFailed, RunContext
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.output_guard import refuse_links
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.validation import validated_jobs
from data_juicer_sandbox.watchers.watcher import Watcher

__all__ = ["JobFailed", "Result", "plan", "run", "session"]

BESIDE = (
    "metrics.jsonl", "config.json", "iterations.json", "wandb_run.json", "wandb_sweep.json", "report.html",
    "study.journal", "trials",
    "trials.csv", "best.yaml", "front", "plots", logs.FILE,
)  # fmt: skip
"""What belongs to a run beside its checkpoint, and goes aside with it."""


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
    views, _ = validated_jobs(config)
    checkpoint = Checkpoint(Path(config.work_dir))
    context = ContextInfos()
    if config.resume and checkpoint.exists():
        context = checkpoint.read(trust=trust_checkpoint)
    if config.sweep is not None:
        from data_juicer_sandbox.search import search

        return search.plan_of(config, config.sweep, views, context)
    return plan_of(config, views, context)


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
    views, warnings = validated_jobs(config)
    orphan_guard.install()
    work_dir = Path(config.work_dir)
    refuse_links(work_dir)
    with locked(work_dir), session(config, screen, trust_checkpoint) as run_context:
        started = time.time()
        for warning in warnings:
            logger.warning(warning)
        screen.run_started(len(config.pipelines), len(views))
        if config.sweep is not None:
            from data_juicer_sandbox.search.search import search  # Optuna takes a second and a half

            found = search(config, config.sweep, views, run_context)
            seconds = time.time() - started
            return Result(run_context.context, tuple(found.ran), tuple(found.kept), seconds, found.tables, found.notes)
        made = iterate(config, views, run_context)
        several = len(made.history) > 1 or bool(config.iter_targets)
        tables = (made.table(),) if several else ()
        return Result(run_context.context, tuple(made.ran), tuple(made.kept), time.time() - started, tables)


@contextmanager
def session(config: SandboxConfig, screen: View, trust_checkpoint: bool = False) -> Iterator[RunContext]:
    """The context of a run as it was left, its log and its watcher, open as long as the block runs.

    Raises:
        WorkDirError: the work directory cannot be written.
        CheckpointError: the checkpoint is damaged.
    """
    work_dir = Path(config.work_dir)
    checkpoint = Checkpoint(work_dir)
    context = _start_context(config, checkpoint, screen, trust_checkpoint)
    try:
        logs.setup(work_dir / logs.FILE, config.debug)
        watcher = Watcher.open(
            work_dir,
            project=config.project_name,
            experiment=config.experiment_name,
            names=config.watchers,
            config=config.given,
        )
    except OSError as error:
        raise WorkDirError(f"the work directory cannot be written: {error.strerror}", where=str(work_dir)) from error
    try:
        yield RunContext(
            work_dir / logs.FILE, context, checkpoint, watcher, screen, config.variables, config_files=config.files
        )
    finally:
        watcher.close()


def _start_context(config: SandboxConfig, checkpoint: Checkpoint, screen: View, trust: bool) -> ContextInfos:
    work_dir = Path(config.work_dir)
    if config.resume and checkpoint.exists():
        return checkpoint.read(trust=trust)
    try:
        aside = checkpoint.set_aside(*(work_dir / name for name in BESIDE))
    except OSError as error:
        raise WorkDirError(f"an old run cannot be moved aside: {error.strerror}", where=str(work_dir)) from error
    if aside:
        screen.message(f"files of an earlier run, or of the same names, were here; they are now in {aside}")
    return ContextInfos()
