"""Check that what `input`, `output` and targets name exists when it is read."""

from __future__ import annotations

from collections.abc import Sequence

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.workflow.graph import referenced
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def check_inputs(planned_job: PlannedJob, earlier: Sequence[PlannedJob]) -> list[ConfigError]:
    """Faults of a job's `input` keys.

    Args:
        planned_job: the job.
        earlier: the jobs that run before it, in order.
    """
    problems = []
    for key, source in planned_job.job.input.items():
        found = referenced(planned_job, source, earlier)
        where = planned_job.job.where("input", key)
        what = f"job {planned_job.job.label!r}: `input` {key!r} reads {source!r}"
        if not found:
            names = _keys(planned_job, earlier)
            if source.startswith("-1."):
                problems.append(ConfigError(f"{what}, but no job comes before it", where=where))
            else:
                problems.append(
                    ConfigError(f"{what}, which no earlier job puts out", where=where, hint=suggest(source, names))
                )
            continue
        candidates, output = found
        known = [name for candidate in candidates for name in candidate.outputs or ()]
        if all(candidate.outputs is not None for candidate in candidates) and output not in known:
            label = candidates[-1].job.label
            hint = suggest(output, known, what="it puts out")
            problems.append(ConfigError(f"{what}, but job {label!r} has no output {output!r}", where=where, hint=hint))
    return problems


def check_outputs(planned_job: PlannedJob) -> list[ConfigError]:
    """Faults in the number of names."""
    declared = planned_job.hook.outputs(planned_job.component) if planned_job.hook and planned_job.component else None
    names = planned_job.job.output
    if declared is None or names is None or len(names) == len(declared):
        return []
    job = planned_job.job
    what = f"job {job.label!r} has {len(names)} output names, but puts out {len(declared)}: {', '.join(declared)}"
    return [ConfigError(what, where=job.where("output"))]


def check_targets(config: SandboxConfig, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    """Faults of `iter_targets` and `iter_updater`: the jobs they name must be there."""
    problems = []
    for target in config.iter_targets:
        problems += _check_key(target.key, config.where("iter_targets"), "a target", planned_jobs)
    for source, wanted in config.iter_updater.items():
        where = config.source.where(("iter_updater", source))
        problems += _check_key(source, where, "`iter_updater`", planned_jobs)
        parts = str(wanted).split(".")
        jobs = {f"{planned_job.job.pipeline}.{planned_job.job.meta_name}" for planned_job in planned_jobs}
        if len(parts) < 3 or ".".join(parts[:2]) not in jobs or parts[2] not in ("dj_configs", "extra_configs"):
            hint = "<pipeline>.<meta_name>.<dj_configs|extra_configs>.<key>; " + suggest(
                ".".join(parts[:2]), jobs, what="jobs"
            )
            problems.append(
                ConfigError(f"`iter_updater` sets {wanted!r}, which is no key of a job", where=where, hint=hint)
            )
    return problems


def _check_key(key: str, where: Where | str, who: str, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    pipeline, _, rest = key.partition(".")
    name, _, way = rest.partition(".")
    found = [
        planned_job
        for planned_job in planned_jobs
        if (planned_job.job.pipeline, planned_job.job.meta_name) == (pipeline, name)
    ]
    if not found:
        labels = {planned_job.job.label for planned_job in planned_jobs}
        hint = suggest(f"{pipeline}.{name}", labels, what="jobs")
        return [ConfigError(f"{who} names {key!r}, but there is no such job", where=where, hint=hint)]
    known = [output for planned_job in found for output in planned_job.outputs or ()]
    if all(planned_job.outputs is not None for planned_job in found) and way.partition(".")[0] not in known:
        hint = suggest(way, known, what="it puts out")
        return [ConfigError(f"{who} names {key!r}, but the job puts out no {way!r}", where=where, hint=hint)]
    return []


def _keys(planned_job: PlannedJob, earlier: Sequence[PlannedJob]) -> list[str]:
    keys = []
    for job in (other.job for other in earlier):
        prefix = "" if job.pipeline == planned_job.job.pipeline else f"{job.pipeline}."
        outputs = next(other.outputs for other in earlier if other.job is job) or ("res_1",)
        keys += [f"{prefix}{job.meta_name}.{output}" for output in outputs]
    return keys
