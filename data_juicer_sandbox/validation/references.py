"""Check that what `input`, `output` and targets name exists when it is read."""

from __future__ import annotations

from collections.abc import Sequence

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.workflow.graph import referenced
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def check_inputs(view: PlannedJob, earlier: Sequence[PlannedJob]) -> list[ConfigError]:
    """Faults of a job's `input` keys.

    Args:
        view: the job.
        earlier: the jobs that run before it, in order.
    """
    problems = []
    for key, source in view.job.input.items():
        found = referenced(view, source, earlier)
        where = view.job.where("input", key)
        what = f"job {view.job.label!r}: `input` {key!r} reads {source!r}"
        if not found:
            names = _keys(view, earlier)
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


def check_outputs(view: PlannedJob) -> list[ConfigError]:
    """Faults in the number of names."""
    declared = view.hook.outputs(view.component) if view.hook and view.component else None
    names = view.job.output
    if declared is None or names is None or len(names) == len(declared):
        return []
    what = f"job {view.job.label!r} has {len(names)} output names, but puts out {len(declared)}: {', '.join(declared)}"
    return [ConfigError(what, where=view.job.where("output"))]


def check_targets(config: SandboxConfig, views: Sequence[PlannedJob]) -> list[ConfigError]:
    """Faults of `iter_targets` and `iter_updater`: the jobs they name must be there."""
    problems = []
    for target in config.iter_targets:
        problems += _check_key(target.key, config.where("iter_targets"), "a target", views)
    for source, wanted in config.iter_updater.items():
        where = config.source.where(("iter_updater", source))
        problems += _check_key(source, where, "`iter_updater`", views)
        parts = str(wanted).split(".")
        jobs = {f"{view.job.pipeline}.{view.job.meta_name}" for view in views}
        if len(parts) < 3 or ".".join(parts[:2]) not in jobs or parts[2] not in ("dj_configs", "extra_configs"):
            hint = "<pipeline>.<meta_name>.<dj_configs|extra_configs>.<key>; " + suggest(
                ".".join(parts[:2]), jobs, what="jobs"
            )
            problems.append(
                ConfigError(f"`iter_updater` sets {wanted!r}, which is no key of a job", where=where, hint=hint)
            )
    return problems


def _check_key(key: str, where: Where | str, who: str, views: Sequence[PlannedJob]) -> list[ConfigError]:
    pipeline, _, rest = key.partition(".")
    name, _, way = rest.partition(".")
    found = [view for view in views if (view.job.pipeline, view.job.meta_name) == (pipeline, name)]
    if not found:
        labels = {view.job.label for view in views}
        hint = suggest(f"{pipeline}.{name}", labels, what="jobs")
        return [ConfigError(f"{who} names {key!r}, but there is no such job", where=where, hint=hint)]
    known = [output for view in found for output in view.outputs or ()]
    if all(view.outputs is not None for view in found) and way.partition(".")[0] not in known:
        hint = suggest(way, known, what="it puts out")
        return [ConfigError(f"{who} names {key!r}, but the job puts out no {way!r}", where=where, hint=hint)]
    return []


def _keys(view: PlannedJob, earlier: Sequence[PlannedJob]) -> list[str]:
    keys = []
    for job in (other.job for other in earlier):
        prefix = "" if job.pipeline == view.job.pipeline else f"{job.pipeline}."
        outputs = next(other.outputs for other in earlier if other.job is job) or ("res_1",)
        keys += [f"{prefix}{job.meta_name}.{output}" for output in outputs]
    return keys
