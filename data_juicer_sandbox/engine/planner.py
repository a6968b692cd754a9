"""The plan: for each job whether it runs or is kept, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import FORCED, Trace
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.types import Variables
from data_juicer_sandbox.user_code import code_change
from data_juicer_sandbox.workflow.fingerprints import (
    Fingerprint,
    FingerprintCache,
    appeared,
    config_digests,
    content_of,
)
from data_juicer_sandbox.workflow.graph import edges
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import PlannedJob
from data_juicer_sandbox.workflow.resolve import Finished, ResolvedJob, finished_jobs, resolve

if TYPE_CHECKING:
    from data_juicer_sandbox.config.schema import SandboxConfig
    from data_juicer_sandbox.engine.job_cache import Forecast

NEW = "not run yet"


@dataclass(frozen=True)
class Step:
    """One job in the plan.

    Args:
        planned_job: the job.
        runs: whether it will run; if not, its record is kept.
        reason: why it runs or is kept.
        reads: the labels of the jobs it reads from.
        record: the record of its last run, if there is one.
        cached: whether its results would come from the cache, so that it does not run after all.
    """

    planned_job: PlannedJob
    runs: bool
    reason: str
    reads: tuple[str, ...]
    record: JobRecord | None
    cached: bool = False

    @property
    def label(self) -> str:
        """`<pipeline>.<meta_name>` of the job."""
        return self.planned_job.job.label


def forecast_of(config: SandboxConfig, relocator: PathRelocator, fingerprints: FingerprintCache) -> Forecast | None:
    """What tells which jobs would come from the cache; None if the config names no cache."""
    if config.cache_dir is None:
        return None
    from data_juicer_sandbox.engine.job_cache import Forecast, JobCache

    return Forecast(JobCache(Path(config.cache_dir)), relocator, fingerprints, config.variables)


def make_plan(
    planned_jobs: Sequence[PlannedJob],
    context: ContextInfos,
    fingerprints: FingerprintCache,
    variables: Variables,
    relocator: PathRelocator,
    decided: Mapping[str, str] | None = None,
    forecast: Forecast | None = None,
) -> list[Step]:
    """Decide for every job whether it runs, and why.

    Args:
        planned_jobs: all jobs in order.
        context: the records of earlier runs.
        fingerprints: the fingerprints of the current files.
        variables: values of `${...}`.
        relocator: relocates the output paths.
        decided: reasons of jobs that run in any case, by id.
        forecast: tells which jobs would come from the cache.
    """
    graph = edges(planned_jobs, context)
    labels = {planned_job.job.id: planned_job.job.label for planned_job in planned_jobs}
    order = {planned_job.job.id: position for position, planned_job in enumerate(planned_jobs)}
    later_outputs = _output_digests(planned_jobs, context)
    for planned_job in planned_jobs:
        # Now, not when the job starts: the code imported for the plan is the code that runs.
        fingerprints.take_code(planned_job)
    running: set[str] = set()
    cached: set[str] = set()
    finished = finished_jobs()
    steps = []
    for planned_job in planned_jobs:
        job = planned_job.job
        record = context.find(job.pipeline, job.phase.value, job.meta_name)
        for path in _recorded_outputs(record):
            later_outputs[path].pop(job.id)
        rerun = sorted(labels[other] for other in graph[job.id] & running)
        if decided and job.id in decided:
            reason: str | None = decided[job.id]
        elif record is None:
            reason = NEW
        elif record.forced:
            reason = FORCED
        elif rerun:
            reason = f"reads from {', '.join(rerun)}, which {'runs' if len(rerun) == 1 else 'run'} again"
        else:
            reason = _rerun_reason(planned_job, record, finished, fingerprints, variables, relocator, later_outputs)
        cached_record = None
        if reason is not None:
            running.add(job.id)
            if forecast is not None and reason != FORCED and graph[job.id] & running <= cached:
                cached_record = forecast.record(planned_job, finished)
        if cached_record is not None:
            cached.add(job.id)
            finished.append((job.pipeline, cached_record))
        elif record is not None and record.done:
            finished.append((job.pipeline, record))
        # a probe and its refine job have one label
        reads = tuple(dict.fromkeys(labels[other] for other in sorted(graph[job.id], key=order.__getitem__)))
        steps.append(
            Step(
                planned_job,
                reason is not None,
                reason or "nothing it depends on has changed",
                reads,
                record,
                cached_record is not None,
            )
        )
    return steps


def _rerun_reason(
    planned_job: PlannedJob,
    record: JobRecord,
    finished: Finished,
    fingerprints: FingerprintCache,
    variables: Variables,
    relocator: PathRelocator,
    later_outputs: Mapping[str, Mapping[str, str]],
) -> str | None:
    """Why a job with a record must run again; None if the record is still valid."""
    if not record.done:
        return "it failed last time" if record.provenance.status == "failed" else "it did not finish"
    try:
        resolved = relocator.relocate_job(planned_job, resolve(planned_job.job, finished, variables))
        code = fingerprints.take_code(planned_job, resolved)
    except SandboxError as error:
        return f"its configs cannot be resolved from the existing results: {error.what}"
    trace = record.provenance.trace or Trace()
    change = config_change(trace.config, resolved)
    if change:
        return change
    if trace.code is not None and (change := code_change(trace.code, code)):  # records of earlier versions lack it
        return change
    for path in trace.changed_inputs:
        return f"input file {path} changed while the job ran"
    if (existing_path := appeared(trace.missing_inputs)) is not None:
        return f"input file {existing_path} was missing, and exists now"
    for stamps, noun in ((trace.inputs, "input"), (trace.outputs, "output")):
        for path, stamp in stamps.items():
            # A later job may have overwritten the file. An earlier one must not: this job read the file it replaced.
            if not fingerprints.is_unchanged(path, stamp) and not _matches_later_output(
                path, fingerprints, later_outputs
            ):
                is_missing = fingerprints.get(path) is None
                return f"{noun} file {path} {'is gone' if is_missing else 'has changed'}"
    return None


def config_change(before: Mapping[str, str], resolved: ResolvedJob) -> str | None:
    """Describe the keys of a job's config that differ from those of its record; None if all are equal."""
    now = config_digests(resolved)
    changed = [key_path for key_path in now if before.get(key_path) != now[key_path]] + [
        key_path for key_path in before if key_path not in now
    ]
    if not changed:
        return None
    shown = ", ".join(dict.fromkeys(changed[:3])) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return f"config changed: {shown}"


def _recorded_outputs(record: JobRecord | None) -> Mapping[str, Sequence[str]]:
    """The fingerprints of a job's outputs in its record, by path."""
    return record.provenance.outputs if record else {}


def _output_digests(planned_jobs: Sequence[PlannedJob], context: ContextInfos) -> dict[str, dict[str, str]]:
    """For each output path, the content digest after each job that wrote it, by the job's id."""
    digests: dict[str, dict[str, str]] = {}
    for planned_job in planned_jobs:
        record = context.find(planned_job.job.pipeline, planned_job.job.phase.value, planned_job.job.meta_name)
        for path, stamp in _recorded_outputs(record).items():
            digests.setdefault(path, {})[planned_job.job.id] = content_of(stamp)
    return digests


def _matches_later_output(
    path: str, fingerprints: FingerprintCache, later_outputs: Mapping[str, Mapping[str, str]]
) -> bool:
    """Whether a file has the content that a later job recorded."""
    now: Fingerprint | None = fingerprints.get(path)
    return now is not None and content_of(now) in later_outputs.get(path, {}).values()
