"""The plan: for each job whether it runs or is kept, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.user_code import code_change
from data_juicer_sandbox.workflow.fingerprints import Fingerprint, FingerprintCache, config_digests, content_of
from data_juicer_sandbox.workflow.graph import edges
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import PlannedJob
from data_juicer_sandbox.workflow.resolve import Finished, ResolvedJob, resolve

NEW = "not run yet"


@dataclass(frozen=True)
class Step:
    """One job in the plan.

    Args:
        planned_job: the job.
        runs: whether it will run; if not, its record is kept.
        reason: why.
        reads: the labels of the jobs it reads from.
        record: what it left before, if anything.
    """

    planned_job: PlannedJob
    runs: bool
    reason: str
    reads: tuple[str, ...]
    record: JobRecord | None


def make_plan(
    planned_jobs: Sequence[PlannedJob],
    context: ContextInfos,
    fingerprints: FingerprintCache,
    variables: Mapping[str, str],
    relocator: PathRelocator,
    decided: Mapping[str, str] | None = None,
) -> list[Step]:
    """Judge every job.

    Args:
        planned_jobs: all jobs in order.
        context: what earlier runs left.
        fingerprints: the files as they are now.
        variables: what `${...}` stands for.
        relocator: where they write.
        decided: jobs that will run whatever is found here, by id, with the reason.
    """
    graph = edges(planned_jobs, context)
    labels = {planned_job.job.id: planned_job.job.label for planned_job in planned_jobs}
    order = {planned_job.job.id: place for place, planned_job in enumerate(planned_jobs)}
    later = _left_by(planned_jobs, context)
    for (
        planned_job
    ) in planned_jobs:  # at once, not when its job's turn comes: the code that was imported for the plan is what runs
        fingerprints.take_code(planned_job)
    running: set[str] = set()
    finished: list[tuple[str, JobRecord]] = []
    steps = []
    for planned_job in planned_jobs:
        job = planned_job.job
        record = context.find(job.pipeline, job.phase.value, job.meta_name)
        for path in _outputs(record):
            later[path].pop(job.id)
        rerun = sorted(labels[other] for other in graph[job.id] & running)
        if decided and job.id in decided:
            reason: str | None = decided[job.id]
        elif record is None:
            reason = NEW
        elif rerun:
            reason = f"reads from {', '.join(rerun)}, which {'runs' if len(rerun) == 1 else 'run'} again"
        else:
            reason = _judge(planned_job, record, finished, fingerprints, variables, relocator, later)
        if reason is not None:
            running.add(job.id)
        if record is not None and record.done:
            finished.append((job.pipeline, record))
        # a probe and its refine job have one label
        reads = tuple(dict.fromkeys(labels[other] for other in sorted(graph[job.id], key=order.__getitem__)))
        steps.append(
            Step(planned_job, reason is not None, reason or "nothing it depends on has changed", reads, record)
        )
    return steps


def _judge(
    planned_job: PlannedJob,
    record: JobRecord,
    finished: Finished,
    fingerprints: FingerprintCache,
    variables: Mapping[str, str],
    relocator: PathRelocator,
    later: Mapping[str, Mapping[str, str]],
) -> str | None:
    """Why a job that has a record must run again; None if the record still holds."""
    if not record.done:
        return "it failed last time" if record.job.get("status") == "failed" else "it did not finish"
    try:
        resolved = relocator.relocate_job(planned_job, resolve(planned_job.job, finished, variables))
        code = fingerprints.take_code(planned_job, resolved)
    except SandboxError as error:
        return f"its configs cannot be put together from what is there: {error.what}"
    trace = record.job.get("trace") or {}
    change = config_change(trace.get("config", {}), resolved)
    if change:
        return change
    if "code" in trace and (change := code_change(trace["code"], code)):  # records of an earlier version have none
        return change
    for path in trace.get("changed_inputs", ()):
        return f"input file {path} changed while the job ran"
    for kind, verb in (("inputs", "input"), ("outputs", "output")):
        for path, stamp in trace.get(kind, {}).items():
            # A later job may have written over the file. An earlier one may not: this job read what was there before.
            if not fingerprints.is_unchanged(path, stamp) and not _as_left(path, fingerprints, later):
                gone = fingerprints.get(path) is None
                return f"{verb} file {path} {'is gone' if gone else 'has changed'}"
    return None


def config_change(before: Mapping[str, str], resolved: ResolvedJob) -> str | None:
    """What in a job's config differs from the one its record was made with."""
    now = config_digests(resolved)
    changed = [way for way in now if before.get(way) != now[way]] + [way for way in before if way not in now]
    if not changed:
        return None
    shown = ", ".join(dict.fromkeys(changed[:3])) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return f"config changed: {shown}"


def _outputs(record: JobRecord | None) -> Mapping[str, Fingerprint]:
    """The files that a job left, as its record has them."""
    trace = record.job.get("trace") if record else None
    return (trace or {}).get("outputs", {})


def _left_by(planned_jobs: Sequence[PlannedJob], context: ContextInfos) -> dict[str, dict[str, str]]:
    """For each path, the content digest that it had when a job was done with it, by the ids of these jobs."""
    left: dict[str, dict[str, str]] = {}
    for planned_job in planned_jobs:
        record = context.find(planned_job.job.pipeline, planned_job.job.phase.value, planned_job.job.meta_name)
        for path, stamp in _outputs(record).items():
            left.setdefault(path, {})[planned_job.job.id] = content_of(stamp)
    return left


def _as_left(path: str, fingerprints: FingerprintCache, later: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a path is as a job that comes later in the configs left it."""
    now: Fingerprint | None = fingerprints.get(path)
    return now is not None and content_of(now) in later.get(path, {}).values()
