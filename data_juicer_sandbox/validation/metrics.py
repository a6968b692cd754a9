"""Check that a metric or a result that a search or a target names can exist: components declare what they report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_juicer_sandbox.components.metric_keys import (
    MetricKey,
    as_glob,
    expand,
    intersect,
    literal_glob,
    pattern_glob,
)
from data_juicer_sandbox.config.suggestions import nearest_names, suggest
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def reported_metrics(planned_job: PlannedJob) -> list[tuple[MetricKey, str]] | None:
    """What a job reports to its watcher, as declared and with its parameters filled in; None if it is not known."""
    hook, component = planned_job.hook, planned_job.component
    declared = hook.metrics(component) if hook is not None and component is not None else None
    if hook is None or component is None or declared is None:
        return None
    extra = planned_job.extra
    defaults = {name: parameter.default for name, parameter in parameters(component)[0].items()}
    values = {**defaults, **(extra.value or {})}

    def is_unknown(name: str) -> bool:
        return not extra.is_known or extra.skip((name,)) or name in hook.from_recipe

    return list(expand(declared, values, is_unknown))


def numbers_in_outputs(planned_job: PlannedJob) -> dict[str, tuple[str, ...] | None] | None:
    """The keys of the numbers in each output of a job, None for any; None instead if the outputs are not known."""
    names = planned_job.outputs
    if names is None or planned_job.hook is None or planned_job.component is None:
        return None
    declared = planned_job.hook.outputs(planned_job.component)
    if declared is None or len(declared) != len(names):
        return dict.fromkeys(names)
    numbers = getattr(planned_job.component, "numbers", {})
    return {name: numbers.get(output) for name, output in zip(names, declared, strict=True)}


def metric_problem(name: str, planned_jobs: Sequence[PlannedJob]) -> tuple[str, str] | None:
    """Why no job produces a metric, and a hint; None if one does or may.

    Args:
        name: `<pipeline>.<meta_name>.<output>`, or `<meta_name>.<output or reported key>`.
        planned_jobs: all jobs.
    """
    matching_jobs = list(_matching_jobs(name, planned_jobs))
    if not matching_jobs:
        labels = [text for job in planned_jobs for text in (job.job.label, job.job.meta_name)]
        parts = name.split(".")
        nearest = suggest(".".join(parts[: max(1, min(2, len(parts) - 1))]), labels, what="jobs")
        hint = f"<pipeline>.<meta_name>.<output>, or <meta_name>.<watched key>; {nearest}"
        return f"no job will produce the metric {name!r}", hint
    if any(_may_produce(planned_job, key, is_full) for planned_job, key, is_full in matching_jobs):
        return None
    planned_job, key, _ = matching_jobs[0]
    output = key.partition(".")[0]
    numbers = numbers_in_outputs(planned_job) or {}
    label = planned_job.job.label
    if all(is_full for _, _, is_full in matching_jobs) and output not in numbers:
        what = f"{label!r} has no such output"
    elif numbers.get(output) == ():
        what = f"the output {output!r} of {label!r} is not a number"
    else:
        what = f"{label!r} reports no such number"
    names = [text for job, _, _ in matching_jobs for text in _producible(job)]
    return f"no job will produce the metric {name!r}: {what}", nearest_names(name, names, what="metrics")


def result_problem(path: str, planned_job: PlannedJob) -> tuple[str, str] | None:
    """Why a job has no number at `<output>.<part>`, and a hint; None if it has or may have one."""
    numbers = numbers_in_outputs(planned_job)
    output, _, part = path.partition(".")
    if numbers is None or output not in numbers or _has_number(numbers, output, part):
        return None
    keys = numbers[output]
    if not keys:
        return f"the output {output!r} is not a number", nearest_names(path, _number_names(numbers, ""), what="numbers")
    return f"{output!r} has no number {part!r}", nearest_names(path, _number_names({output: keys}, ""), what="numbers")


def step_problem(pattern: str, planned_jobs: Sequence[PlannedJob]) -> tuple[str, str] | None:
    """Why no job reports a metric with a step, which pruning needs, and a hint; None if one does or may.

    Args:
        pattern: `<meta_name>.<key>`, also with the pipeline in front; `*`, `?` and `[...]` are wildcards.
        planned_jobs: all jobs.
    """
    names: list[str] = []
    for planned_job in planned_jobs:
        metrics = reported_metrics(planned_job)
        keys = ["<key>"] if metrics is None else [key for metric, key in metrics if metric.per_step]
        for head in (planned_job.job.meta_name, planned_job.job.label):
            heads = literal_glob(f"{head}.")
            if any(intersect(pattern_glob(pattern), (*heads, *as_glob(key))) for key in keys):
                return None
        names += [f"{planned_job.job.meta_name}.{key}" for key in keys]
    return f"no job reports {pattern!r} with a step", nearest_names(pattern, names, what="reported with steps")


def _matching_jobs(name: str, planned_jobs: Sequence[PlannedJob]) -> Iterator[tuple[PlannedJob, str, bool]]:
    """The jobs that a metric may belong to, the key in each, and whether the name begins with the pipeline."""
    for planned_job in planned_jobs:
        for head, is_full in ((planned_job.job.label, True), (planned_job.job.meta_name, False)):
            if name.startswith(f"{head}."):
                yield planned_job, name[len(head) + 1 :], is_full


def _may_produce(planned_job: PlannedJob, key: str, is_full: bool) -> bool:
    output, _, part = key.partition(".")
    numbers = numbers_in_outputs(planned_job)
    if numbers is None or _has_number(numbers, output, part):
        return True
    if is_full:  # a reported key is named without the pipeline
        return False
    metrics = reported_metrics(planned_job)
    return metrics is None or any(intersect(literal_glob(key), as_glob(reported)) for _, reported in metrics)


def _has_number(numbers: dict[str, tuple[str, ...] | None], output: str, part: str) -> bool:
    if output not in numbers:
        return False
    keys = numbers[output]
    return keys is None or any(intersect(literal_glob(part), as_glob(key)) for key in keys)


def _producible(planned_job: PlannedJob) -> list[str]:
    names = _number_names(numbers_in_outputs(planned_job) or {}, f"{planned_job.job.label}.")
    metrics = reported_metrics(planned_job) or []
    return [*names, *(f"{planned_job.job.meta_name}.{key}" for _, key in metrics)]


def _number_names(numbers: dict[str, tuple[str, ...] | None], prefix: str) -> list[str]:
    keys_by_output = {output: ("",) if keys is None else keys for output, keys in numbers.items()}
    return [f"{prefix}{output}.{key}".rstrip(".") for output, keys in keys_by_output.items() for key in keys]
