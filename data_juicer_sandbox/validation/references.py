"""Check that the context keys in `input`, `output` and targets exist when they are read."""

from __future__ import annotations

from collections.abc import Sequence

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.context.keys import PREVIOUS, SETTING_KEY_FORM, ContextKey, SettingKey
from data_juicer_sandbox.errors import ConfigError, ResolveError, Where
from data_juicer_sandbox.validation.metrics import result_problem
from data_juicer_sandbox.validation.original import original_names
from data_juicer_sandbox.workflow.graph import referenced
from data_juicer_sandbox.workflow.named_list import NamedList
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def check_inputs(planned_job: PlannedJob, earlier: NamedList[PlannedJob]) -> list[ConfigError]:
    """Errors in a job's `input`.

    Args:
        planned_job: the job.
        earlier: the jobs that run before it, in order.
    """
    problems = []
    for key, source in planned_job.job.input.items():
        reference = referenced(planned_job, source, earlier)
        where = planned_job.job.where("input", key)
        what = f"job {planned_job.job.label!r}: `input` {key!r} reads {source!r}"
        if not reference:
            names = _context_keys(planned_job, earlier)
            if source.startswith(f"{PREVIOUS}."):
                problems.append(ConfigError(f"{what}, but no job comes before it", where=where))
            else:
                problems.append(
                    ConfigError(
                        f"{what}, which is not an output of an earlier job", where=where, hint=suggest(source, names)
                    )
                )
            continue
        candidates, output = reference
        output_names = [name for candidate in candidates for name in candidate.outputs or ()]
        if all(candidate.outputs is not None for candidate in candidates) and output not in output_names:
            label = candidates[-1].job.label
            hint = original_names(planned_job).for_reference(source) or suggest(output, output_names, what="outputs")
            problems.append(ConfigError(f"{what}, but job {label!r} has no output {output!r}", where=where, hint=hint))
    return problems


def check_outputs(planned_job: PlannedJob) -> list[ConfigError]:
    """Errors in the number of output names."""
    declared = planned_job.hook.outputs(planned_job.component) if planned_job.hook and planned_job.component else None
    names = planned_job.job.output
    if declared is None or names is None or len(names) == len(declared):
        return []
    job = planned_job.job
    what = f"job {job.label!r} has {len(names)} output names, but {len(declared)} output(s): {', '.join(declared)}"
    return [ConfigError(what, where=job.where("output"), hint=original_names(planned_job).for_outputs(len(names)))]


def check_targets(config: SandboxConfig, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    """Errors in `iter_targets` and `iter_updater`: the jobs and outputs they name must exist."""
    problems = []
    for target in config.iter_targets:
        where = config.where("iter_targets")
        faults = _check_key(target.key, where, "a target", planned_jobs)
        problems += faults or _check_number(target.key, where, planned_jobs)
    for source, updated_key in config.iter_updater.items():
        where = config.source.where(("iter_updater", source))
        problems += _check_key(source, where, "`iter_updater`", planned_jobs)
        problems += _check_setting(str(updated_key), where, planned_jobs)
    return problems


def _check_setting(key: str, where: Where, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    labels = {planned_job.job.label for planned_job in planned_jobs}
    try:
        if SettingKey.parse(key).label in labels:
            return []
    except ResolveError:
        pass
    hint = f"{SETTING_KEY_FORM}; " + suggest(".".join(key.split(".")[:2]), labels, what="jobs")
    return [ConfigError(f"`iter_updater` sets {key!r}, which is not a key of a job", where=where, hint=hint)]


def _check_key(key: str, where: Where | str, subject: str, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    try:
        context_key = ContextKey.parse(key)
    except ResolveError as error:
        return [ConfigError(f"{subject} names {key!r}, which is not the key of a result", where=where, hint=error.hint)]
    matching_jobs = [planned_job for planned_job in planned_jobs if planned_job.job.label == context_key.label]
    if not matching_jobs:
        labels = {planned_job.job.label for planned_job in planned_jobs}
        hint = suggest(context_key.label, labels, what="jobs")
        return [ConfigError(f"{subject} names {key!r}, but this job does not exist", where=where, hint=hint)]
    output_names = [output for planned_job in matching_jobs for output in planned_job.outputs or ()]
    if all(planned_job.outputs is not None for planned_job in matching_jobs) and context_key.output not in output_names:
        hint = suggest(context_key.path, output_names, what="outputs")
        what = f"{subject} names {key!r}, but the job has no output {context_key.path!r}"
        return [ConfigError(what, where=where, hint=hint)]
    return []


def _check_number(key: str, where: Where | str, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    """The error of a target whose result is not a number, if no job with its name may have one."""
    context_key = ContextKey.parse(key)
    jobs = [planned_job for planned_job in planned_jobs if planned_job.job.label == context_key.label]
    problems = [result_problem(context_key.path, planned_job) for planned_job in jobs]
    faults = [problem for problem in problems if problem is not None]
    if not faults or len(faults) < len(problems):
        return []
    return [ConfigError(f"a target names {key!r}, but {faults[0][0]}", where=where, hint=faults[0][1])]


def _context_keys(planned_job: PlannedJob, earlier: Sequence[PlannedJob]) -> list[str]:
    keys = []
    for other in earlier:
        prefix = "" if other.job.pipeline == planned_job.job.pipeline else f"{other.job.pipeline}."
        keys += [f"{prefix}{other.job.meta_name}.{output}" for output in other.outputs or ("res_1",)]
    return keys
