"""Execute a checked config: open its session, run its iterations or its search, and write its report."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from loguru import logger

from data_juicer_sandbox import report
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.context.checkpoint import READABLE, Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.engine.iterations import iterate, plan_iterations
from data_juicer_sandbox.engine.planner import Step
from data_juicer_sandbox.engine.run_file import recorded_run
from data_juicer_sandbox.engine.runner import JobFailed, RunContext
from data_juicer_sandbox.engine.schedule import Schedule, make_schedule
from data_juicer_sandbox.engine.session import session
from data_juicer_sandbox.errors import ConfigErrors
from data_juicer_sandbox.results import Results
from data_juicer_sandbox.terminal.silent_view import SilentView
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.validation import ValidationResult
from data_juicer_sandbox.validation.libraries import NotInstalled
from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def plan_steps(
    config: SandboxConfig, planned_jobs: Sequence[PlannedJob], trust_checkpoint: bool, forced: Collection[str] = ()
) -> list[Step]:
    """Decide for each job whether it would run now, and why. Changes nothing.

    Args:
        config: the config.
        planned_jobs: its jobs, validated.
        trust_checkpoint: also read a checkpoint of an earlier version that holds Python objects.
        forced: ids of jobs to redo.

    Raises:
        CheckpointError: there is a checkpoint, and it is damaged.
    """
    checkpoint = Checkpoint(Path(config.work_dir))
    context = ContextInfos()
    if config.resume and checkpoint.exists():
        context = checkpoint.read(trust=trust_checkpoint)
        context.force(forced)
    if config.sweep is not None:
        from data_juicer_sandbox.search import search

        return search.plan_search(config, config.sweep, planned_jobs, context)
    return plan_iterations(config, planned_jobs, context)


def schedule_of(config: SandboxConfig, steps: Sequence[Step]) -> Schedule | None:
    """Which jobs of a plan can run side by side; None for a search."""
    if config.sweep is not None:
        return None
    return make_schedule(steps, PathRelocator(Path(config.work_dir)), config.variables)


def missing_of(not_installed: Iterable[NotInstalled], steps: Sequence[Step]) -> list[NotInstalled]:
    """The missing libraries that matter for a plan: those of the run itself, and of the jobs that would run."""
    running = {step.planned_job.job.id for step in steps if step.runs and not step.cached}
    return [missing for missing in not_installed if missing.job_id is None or missing.job_id in running]


def check_installed(
    config: SandboxConfig, findings: ValidationResult, trust_checkpoint: bool, forced: Collection[str]
) -> None:
    """Check, before anything is changed, that the libraries of all jobs that would run are installed.

    Raises:
        ConfigErrors: some are not.
        CheckpointError: there is a checkpoint, and it is damaged.
    """
    if findings.not_installed:
        steps = plan_steps(config, findings.planned_jobs, trust_checkpoint, forced)
        if missing := missing_of(findings.not_installed, steps):
            raise ConfigErrors(missing)


def execute(
    config: SandboxConfig,
    planned_jobs: Sequence[PlannedJob],
    warnings: Sequence[str],
    view: View | None,
    trust_checkpoint: bool,
    forced: Collection[str] = (),
) -> Results:
    """Run the jobs of a config; `Sandbox.run` has the errors.

    Args:
        config: the config.
        planned_jobs: its jobs, validated.
        warnings: the warnings of the validation, for the log.
        view: shows the progress; None shows nothing.
        trust_checkpoint: also read a checkpoint of an earlier version that holds Python objects.
        forced: ids of jobs to redo.
    """
    work_dir, screen = Path(config.work_dir), view or SilentView()
    with session(config, screen, trust_checkpoint, forced) as run_context:
        for warning in warnings:
            logger.warning(warning)
        run_context.screen.run_started(len(config.pipelines), len(planned_jobs))
        try:
            with recorded_run(config, planned_jobs, run_context.context, forced):
                try:
                    results = _run_jobs(config, planned_jobs, run_context)
                finally:
                    run_context.checkpoint.finish(run_context.context)
        except JobFailed:
            _write_report(work_dir)
            raise
        notes = (*results.notes, *_write_report(work_dir))
        return Results(work_dir, run_context.context, results.ran, results.kept, results.seconds, results.tables, notes)


def _run_jobs(config: SandboxConfig, planned_jobs: Sequence[PlannedJob], run_context: RunContext) -> Results:
    """Run the iterations, or the search if there is one."""
    started, work_dir = time.time(), Path(config.work_dir)
    if config.sweep is not None:
        from data_juicer_sandbox.search.search import search  # Optuna's import takes 1.5 seconds

        outcome = search(config, config.sweep, planned_jobs, run_context)
        ran, kept, tables, notes = outcome.ran, outcome.kept, outcome.tables, outcome.notes
    else:
        iterations = iterate(config, planned_jobs, run_context)
        several = len(iterations.history) > 1 or bool(config.iter_targets)
        ran, kept, tables, notes = iterations.ran, iterations.kept, (iterations.table(),) if several else (), ()
    seconds = time.time() - started
    return Results(work_dir, run_context.context, tuple(ran), tuple(kept), seconds, tuple(tables), tuple(notes))


def _write_report(work_dir: Path) -> list[str]:
    """Write the report page; returns the lines that name the files of the run. A failed report fails no run."""
    files = {"results:": work_dir / READABLE, "metrics:": work_dir / local.FILE}
    notes = [f"{label} {path}" for label, path in files.items() if path.is_file()]
    try:
        notes.insert(0, f"report:  {report.build(work_dir)}")
    except Exception as error:
        logger.opt(exception=error).warning("the report could not be generated: {}", error)
    return notes
