"""Overrides: values set by `<pipeline>.<meta_name>.<dj_configs|extra_configs>.<path>` or `<op>.<arg>`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.context.key_paths import set_path
from data_juicer_sandbox.context.keys import ConfigKey, SettingKey
from data_juicer_sandbox.errors import ConfigError, ResolveError, Where
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.signatures import check, parameters
from data_juicer_sandbox.types import ConfigValues, JsonValue, Variables
from data_juicer_sandbox.workflow.planned_job import PlannedJob, plan_job

Overrides = dict[str, ConfigValues]
"""Maps the id of a job to the values to set, by key (`dj_configs.process.0.text_length_filter.min_len`)."""


def resolve_parameter(name: str, planned_jobs: Sequence[PlannedJob]) -> list[tuple[PlannedJob, str]]:
    """The jobs that a parameter changes, each with the key that it sets; an empty list if no job matches the name."""
    setting = _setting_key(name)
    if setting is not None:
        matching_jobs = [planned_job for planned_job in planned_jobs if planned_job.job.label == setting.label]
        if len(matching_jobs) > 1 and setting.key.path and setting.key.config == "extra_configs":
            # A probe and its refine job share a name, but no keys.
            jobs_with_key = [
                planned_job
                for planned_job in matching_jobs
                if planned_job.component and setting.key.path[0] in parameters(planned_job.component)[0]
            ]
            matching_jobs = jobs_with_key or matching_jobs
        return [(planned_job, str(setting.key)) for planned_job in matching_jobs]
    op, argument = _op_and_argument(name)
    return [
        (planned_job, f"dj_configs.process.{index}.{op}.{argument}")
        for planned_job in planned_jobs
        for index, entry in enumerate(_process(planned_job))
        if argument and (entry == op or (isinstance(entry, Mapping) and op in entry))
    ]


def resolve_overrides(
    values: Mapping[str, object], planned_jobs: Sequence[PlannedJob], where: Callable[[str], Where | str]
) -> tuple[Overrides, list[ConfigError]]:
    """Resolve parameter values to overrides; return these and the errors in names and values."""
    overrides: Overrides = {}
    problems = []
    for name, value in values.items():
        faults = check_values(name, [value], planned_jobs, where(name))
        problems += faults
        for planned_job, key in resolve_parameter(name, planned_jobs) if not faults else ():
            overrides.setdefault(planned_job.job.id, {})[key] = value
    return overrides, problems


def with_overrides(planned_jobs: Sequence[PlannedJob], overrides: Overrides, variables: Variables) -> list[PlannedJob]:
    """The jobs with the overrides applied on top of their configs."""
    return [
        plan_job(
            replace(planned_job.job, updates={**planned_job.job.updates, **overrides[planned_job.job.id]}), variables
        )
        if planned_job.job.id in overrides
        else planned_job
        for planned_job in planned_jobs
    ]


def check_values(
    name: str, values: Iterable[object], planned_jobs: Sequence[PlannedJob], where: Where | str
) -> list[ConfigError]:
    """Errors of a parameter: no job or OP has its name, or a value is not allowed at its key."""
    targets = resolve_parameter(name, planned_jobs)
    if not targets:
        hint = suggest(name, _candidate_names(name, planned_jobs), what="available")
        return [ConfigError(f"parameter {name!r} sets nothing: there is no such job or OP", where=where, hint=hint)]
    for planned_job, key in targets:
        for value in values:
            for message, fault_hint in _faults(planned_job, key, value):
                return [ConfigError(f"parameter {name!r}: {message}", where=where, hint=fault_hint)]
    return []


def _faults(planned_job: PlannedJob, key: str, value: object) -> Iterator[tuple[str, str | None]]:
    """Message and hint of each fault of a value at a key of a job, as far as the configs are known."""
    config_key = ConfigKey.parse(key)
    config, path = config_key.config, config_key.path
    if not path:  # the whole config: the path of a file, or a mapping
        if isinstance(value, str) and not path_exists(value, file=True):
            yield f"there is no file {value!r}", None
        return
    job_config = planned_job.recipe if config == "dj_configs" else planned_job.extra
    if not job_config.is_known:
        return  # `input` sets the whole config
    if job_config.value is None and config == "dj_configs":
        yield f"job {planned_job.job.label!r} has no `dj_configs`", None
        return
    try:
        updated_config = set_path(job_config.value, path, value)
    except ResolveError as error:
        yield f"{key!r} cannot be set in job {planned_job.job.label!r}: {error.what}", None
        return
    if config == "dj_configs":
        from data_juicer_sandbox.components.data import recipe_check

        for fault in recipe_check.check(updated_config, job_config.skip):
            if _overlaps(tuple(map(str, fault.path)), path):
                yield f"{fault.message} (job {planned_job.job.label!r})", fault.hint
    elif planned_job.component is not None:
        head = path[0]
        if head != "type":
            arguments = {name: item for name, item in updated_config.items() if name != "type"}
            other_names = set(parameters(planned_job.component)[0]) | set(arguments)
            for problem in check(planned_job.component, arguments, lambda name: name in other_names and name != head):
                if problem.name == head:
                    yield f"{problem.what} (job {planned_job.job.label!r})", problem.hint


def _setting_key(name: str) -> SettingKey | None:
    """The key that a parameter's name stands for; None for the short form `op.argument`."""
    try:
        return SettingKey.parse(name)
    except ResolveError:
        return None


def _op_and_argument(name: str) -> tuple[str, str]:
    """The parts of the short form of a parameter's name. The argument may be a path."""
    op, _, argument = name.partition(".")
    return op, argument


def _overlaps(path: tuple[str, ...], key_path: Sequence[str]) -> bool:
    """Whether the path of a fault is a prefix of a key's path, or the reverse."""
    return all(a == b for a, b in zip(path, key_path, strict=False))


def _process(planned_job: PlannedJob) -> list[JsonValue]:
    takes = bool(planned_job.hook and planned_job.component and planned_job.hook.takes_recipe(planned_job.component))
    process = (planned_job.recipe.value or {}).get("process") if takes else None
    return process if isinstance(process, list) else []


def _candidate_names(name: str, planned_jobs: Sequence[PlannedJob]) -> list[str]:
    """Valid names of the same form as a wrong name: keys of jobs, or arguments of OPs."""
    setting = _setting_key(name)
    if setting is not None:
        return [f"{planned_job.job.label}.{setting.key}" for planned_job in planned_jobs]
    ops = {
        str(next(iter(entry)) if isinstance(entry, Mapping) else entry)
        for planned_job in planned_jobs
        for entry in _process(planned_job)
    }
    return sorted(f"{op}.{_op_and_argument(name)[1]}" for op in ops) or [
        f"{planned_job.job.label}.extra_configs.<key>" for planned_job in planned_jobs
    ]
