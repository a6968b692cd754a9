"""Run a search: the shared jobs first, then trials until a stopping rule holds, then the artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.engine.planner import Step, forecast_of, make_plan
from data_juicer_sandbox.engine.runner import JobFailed, RunContext, differs, runner_class
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.search.artifacts import SearchArtifacts
from data_juicer_sandbox.search.controller import ERROR, SearchController
from data_juicer_sandbox.search.definition import definition_of
from data_juicer_sandbox.search.progress import announce, record_result
from data_juicer_sandbox.search.study import open_study
from data_juicer_sandbox.search.trial_runner import Trials, affected_job_ids
from data_juicer_sandbox.workflow.fingerprints import FingerprintCache
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import PlannedJob


class SearchFailed(JobFailed):
    """A search stopped after too many failed trials, or no trial completed."""

    def __init__(self, name: str, log: Path, cause: str):
        super().__init__(f"search {name}", log, cause)


@dataclass
class SearchResult:
    """The result of a search.

    Args:
        ran: labels of the jobs that ran, in all trials.
        kept: labels of the jobs that were kept.
        tables: a table of the trials.
        notes: lines that name the artifacts.
    """

    ran: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def search(
    config: SandboxConfig, sweep: Sweep, planned_jobs: Sequence[PlannedJob], run_context: RunContext
) -> SearchResult:
    """Run the jobs that all trials share, then trials until a stopping rule holds.

    Raises:
        JobFailed: a shared job failed.
        SearchFailed: too many trials failed, or none completed.
        StudyError: the study cannot be used.
    """
    result = SearchResult()
    run_context = replace(run_context, on_error="stop")  # the trials need all shared jobs; a failed trial is a result
    if config.parallel.backend == "local" and sweep.n_jobs == 1:
        from data_juicer_sandbox.parallel.local import LocalBackend

        sweep = replace(sweep, n_jobs=LocalBackend(config.parallel).workers)
    # opened before the shared jobs run, so that an unusable study fails at once
    controller = None if sweep.backend == "wandb" else open_controller(config, sweep, planned_jobs)
    shared_jobs = shared(sweep, planned_jobs, run_context.context)
    runner = runner_class(run_context.parallel)(shared_jobs, PathRelocator(Path(config.work_dir)), run_context)
    steps = runner.plan()
    if not shared_jobs:
        logger.info("the parameters reach every job: nothing is shared between trials")
    runner.execute(steps)
    if not run_context.checkpoint.exists():  # nothing is shared; without a checkpoint the search could not be resumed
        run_context.checkpoint.write(run_context.context)
    result.ran, result.kept = list(runner.ran), list(runner.kept)
    if controller is not None and controller.trials():
        _warn_of_changed_outputs(steps, run_context.context)
    ids = {
        (planned_job.job.pipeline, planned_job.job.phase.value, planned_job.job.meta_name)
        for planned_job in shared_jobs
    }
    records = [
        (pipeline, record) for pipeline, record in run_context.context.records() if (pipeline, *record.id) in ids
    ]
    trials = Trials(config, sweep, planned_jobs, records, run_context)
    if controller is None:
        from data_juicer_sandbox.search.wandb import run_agent

        run_agent(config, sweep, trials, run_context.screen)
        return result
    _warn_of_outdated_trials(controller, trials)
    artifacts = SearchArtifacts(config, sweep, controller)
    try:
        if config.parallel.backend in ("slurm", "ray"):
            from data_juicer_sandbox.search.cluster_trials import run_on_backend

            run_on_backend(config, controller, trials, run_context, artifacts)
        elif sweep.n_jobs == 1:
            _run_in_process(controller, trials, run_context, artifacts)
        else:
            from data_juicer_sandbox.search.executors import run_in_workers

            run_in_workers(config, controller, trials, run_context, artifacts)
    finally:
        artifacts.write()
    result.ran += controller.ran
    result.tables = (artifacts.table(),)
    logger.info("no more trials: {}", controller.reason)
    if not controller.best() or controller.failures >= sweep.max_failures:
        errors = [trial.user_attrs[ERROR] for trial in controller.trials() if ERROR in trial.user_attrs]
        cause = f"{controller.reason}{'' if controller.best() else ', none of them completed'}"
        cause += f"; last error: {errors[-1]}" if errors else ""
        if controller.metric_fault:
            fix = "correct `metric` in the sweep file and resume: the finished jobs are kept"
            cause = f"{controller.metric_fault}; {fix}"
        raise SearchFailed(sweep.name or config.experiment_name, run_context.log, cause)
    result.notes = artifacts.finish()
    return result


def shared(sweep: Sweep, planned_jobs: Sequence[PlannedJob], context: ContextInfos) -> list[PlannedJob]:
    """The jobs that no parameter of the search affects."""
    affected_ids = affected_job_ids([parameter.name for parameter in sweep.parameters], planned_jobs, context)
    return [planned_job for planned_job in planned_jobs if planned_job.job.id not in affected_ids]


def plan_search(
    config: SandboxConfig, sweep: Sweep, planned_jobs: Sequence[PlannedJob], context: ContextInfos
) -> list[Step]:
    """The plan of the shared jobs, followed by the jobs of each trial."""
    common = {planned_job.job.id for planned_job in shared(sweep, planned_jobs, context)}
    relocator, fingerprints = PathRelocator(Path(config.work_dir)), FingerprintCache()
    forecast = forecast_of(config, relocator, fingerprints)
    steps = make_plan(planned_jobs, context, fingerprints, config.variables, relocator, forecast=forecast)
    return [
        step
        if step.planned_job.job.id in common
        else Step(step.planned_job, True, "once in each trial", step.reads, None)
        for step in steps
    ]


def open_controller(config: SandboxConfig, sweep: Sweep, planned_jobs: Sequence[PlannedJob]) -> SearchController:
    """Open the study of a search and return its controller."""
    definition = definition_of(config, sweep, planned_jobs)
    study = open_study(sweep, sweep.name or config.experiment_name, Path(config.work_dir), definition)
    return SearchController(config, sweep, study)


def _warn_of_changed_outputs(steps: Sequence[Step], context: ContextInfos) -> None:
    """Warn about shared jobs whose outputs differ from those that earlier trials used."""
    changed = []
    for step in steps:
        job, before = step.planned_job.job, step.record
        now = context.find(job.pipeline, job.phase.value, job.meta_name)
        if step.runs and before is not None and before.done and now is not None and differs(before, now):
            changed.append(job.label)
    if changed:
        logger.warning("the outputs of {} differ from those that earlier trials used", ", ".join(changed))


def _warn_of_outdated_trials(controller: SearchController, trials: Trials) -> None:
    """Warn about completed trials whose inputs or code have changed: new trials cannot be compared with them."""
    reasons: dict[str, list[int]] = {}
    for spec in controller.completed():
        if (reason := trials.outdated(spec)) is not None:
            reasons.setdefault(reason, []).append(spec.number)
    for reason, numbers in reasons.items():
        which = ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
        logger.warning(
            "trials {} are out of date: {}. They are not comparable with new trials: `resume: false` starts the search "
            "anew",
            which,
            reason,
        )


def _run_in_process(
    controller: SearchController, trials: Trials, run_context: RunContext, artifacts: SearchArtifacts
) -> None:
    while (spec := controller.ask()) is not None:
        announce(spec, controller, len(trials.affected_ids), run_context)
        outcome = trials.run(spec, partial(controller.report, spec.number))
        record_result(controller, spec, outcome, run_context, artifacts)
