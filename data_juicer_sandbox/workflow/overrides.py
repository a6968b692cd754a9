"""Overrides: values set by `<pipeline>.<meta_name>.<dj_configs|extra_configs>.<path>` or `<op>.<arg>`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.context.key_paths import set_path
from data_juicer_sandbox.errors import ConfigError, ResolveError, Where
from data_juicer_sandbox.files import is_there
from data_juicer_sandbox.signatures import check, parameters
from data_juicer_sandbox.workflow.planned_job import PlannedJob, plan_job

Overrides = dict[str, dict[str, Any]]
"""By the id of a job: key to set (`dj_configs.process.0.text_length_filter.min_len`), value."""

CONFIGS = ("dj_configs", "extra_configs")


def resolve_parameter(name: str, planned_jobs: Sequence[PlannedJob]) -> list[tuple[PlannedJob, str]]:
    """The jobs that a parameter sets something in, each with the key it sets there; none where the name is unknown."""
    parts = name.split(".")
    if len(parts) > 2 and parts[2] in CONFIGS:
        named = [one for one in planned_jobs if one.job.label == ".".join(parts[:2])]
        if (
            len(named) > 1 and len(parts) > 3 and parts[2] == "extra_configs"
        ):  # a probe and its refine job share a name, but no keys
            named = [one for one in named if one.component and parts[3] in parameters(one.component)[0]] or named
        return [(one, ".".join(parts[2:])) for one in named]
    op, _, argument = name.partition(".")
    return [
        (one, f"dj_configs.process.{index}.{op}.{argument}")
        for one in planned_jobs
        for index, entry in enumerate(_process(one))
        if argument and (entry == op or (isinstance(entry, Mapping) and op in entry))
    ]


def resolve_overrides(
    values: Mapping[str, Any], planned_jobs: Sequence[PlannedJob], where: Callable[[str], Where]
) -> tuple[Overrides, list[ConfigError]]:
    """What values do to jobs, and what is wrong with them."""
    changes: Overrides = {}
    problems = []
    for name, value in values.items():
        faults = check_values(name, [value], planned_jobs, where(name))
        problems += faults
        for one, key in resolve_parameter(name, planned_jobs) if not faults else ():
            changes.setdefault(one.job.id, {})[key] = value
    return changes, problems


def with_overrides(
    planned_jobs: Sequence[PlannedJob], changes: Overrides, variables: Mapping[str, str]
) -> list[PlannedJob]:
    """The jobs with the changes over all that they say themselves."""
    return [
        plan_job(replace(one.job, updates={**one.job.updates, **changes[one.job.id]}), variables)
        if one.job.id in changes
        else one
        for one in planned_jobs
    ]


def check_values(
    name: str, values: Iterable[Any], planned_jobs: Sequence[PlannedJob], where: Where
) -> list[ConfigError]:
    """What is wrong with a parameter: nothing has its name, or a value is not one that may stand there."""
    found = resolve_parameter(name, planned_jobs)
    if not found:
        hint = suggest(name, _names(name, planned_jobs), what="there are")
        return [ConfigError(f"parameter {name!r} sets nothing: there is no such job or OP", where=where, hint=hint)]
    for one, key in found:
        for value in values:
            for what, meant in _faults(one, key, value):
                return [ConfigError(f"parameter {name!r}: {what}", where=where, hint=meant)]
    return []


def _faults(one: PlannedJob, key: str, value: Any) -> Iterator[tuple[str, str | None]]:
    """What speaks against a value at a key of a job, as far as its configs are known."""
    config, _, way = key.partition(".")
    if not way:  # the whole config: a file, or what it would hold
        if isinstance(value, str) and not is_there(value, file=True):
            yield f"there is no file {value!r}", None
        return
    known = one.recipe if config == "dj_configs" else one.extra
    if not known.known:
        return  # `input` brings the whole of it
    if known.value is None and config == "dj_configs":
        yield f"job {one.job.label!r} has no `dj_configs`", None
        return
    try:
        planted = set_path(known.value, way.split("."), value)
    except ResolveError as error:
        yield f"{key!r} cannot be set in job {one.job.label!r}: {error.what}", None
        return
    if config == "dj_configs":
        from data_juicer_sandbox.components.data import recipe_check

        for fault in recipe_check.check(planted, known.skip):
            if _on(tuple(map(str, fault.path)), way.split(".")):
                yield f"{fault.message} (job {one.job.label!r})", fault.hint
    elif one.component is not None:
        head = way.partition(".")[0]
        if head != "type":
            wanted = {name: item for name, item in planted.items() if name != "type"}
            others = set(parameters(one.component)[0]) | set(wanted)
            for problem in check(one.component, wanted, lambda name: name in others and name != head):
                if problem.name == head:
                    yield f"{problem.what} (job {one.job.label!r})", problem.hint


def _on(path: tuple[str, ...], way: Sequence[str]) -> bool:
    """Whether a fault lies on the way to a key, or below it."""
    return all(a == b for a, b in zip(path, way, strict=False))


def _process(one: PlannedJob) -> list[Any]:
    takes = bool(one.hook and one.component and one.hook.takes_recipe(one.component))
    process = (one.recipe.value or {}).get("process") if takes else None
    return process if isinstance(process, list) else []


def _names(name: str, planned_jobs: Sequence[PlannedJob]) -> list[str]:
    """Names of the kind that was probably meant."""
    parts = name.split(".")
    if len(parts) > 2 and parts[2] in CONFIGS:
        return [f"{one.job.label}.{'.'.join(parts[2:])}" for one in planned_jobs]
    ops = {
        str(next(iter(entry)) if isinstance(entry, Mapping) else entry)
        for one in planned_jobs
        for entry in _process(one)
    }
    return sorted(f"{op}.{name.partition('.')[2]}" for op in ops) or [
        f"{one.job.label}.extra_configs.<key>" for one in planned_jobs
    ]
