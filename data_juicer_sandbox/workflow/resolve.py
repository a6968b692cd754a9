"""Resolve a job: combine its config files, `local` and `input` with the context. A pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from data_juicer_sandbox.components.base import Component
from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.interpolation import fill, unknown_variable
from data_juicer_sandbox.config.schema import Job
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.context.key_paths import get_path, set_path
from data_juicer_sandbox.context.keys import PREVIOUS, ConfigKey, ContextKey
from data_juicer_sandbox.errors import ConfigError, JobError, ResolveError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import ConfigValues, LibraryObject, Variables
from data_juicer_sandbox.workflow.named_list import NamedList

Finished = Sequence[tuple[str, JobRecord]]
"""Pipeline and record of the jobs that ran before, in order. `finished_jobs` is one that finds them fast."""


def finished_jobs() -> NamedList[tuple[str, JobRecord]]:
    """A list of finished jobs that finds them by name."""
    return NamedList(lambda item: (item[0], item[1].meta_name))


@dataclass(frozen=True)
class ResolvedJob:
    """A job with its final configs, as the component receives them.

    Args:
        job: the job as written.
        dj_configs: the recipe, or None.
        extra_configs: `type` and parameters of the component.
        files: the config files that were read.
        component: the class of its component; None if it is not looked up yet.
    """

    job: Job
    dj_configs: ConfigValues | None
    extra_configs: ConfigValues
    files: tuple[str, ...]
    component: type[Component] | None = None


def resolve(job: Job, finished: Finished, variables: Variables) -> ResolvedJob:
    """Combine a job's configs: the files, then `local`, then `input`, then what an iteration or a search sets.

    Args:
        job: the job.
        finished: the records it may read, the most recent last.
        variables: values of `${...}` in files.

    Raises:
        ResolveError: a key of `input` is not in the context, or cannot be set; names the job and the existing keys.
        JobError: a config file is missing or not a mapping.
    """
    files: list[str] = []
    configs: dict[str, ConfigValues | None] = {
        "dj_configs": _load_config(job, "dj_configs", job.dj_configs, variables, files),
        "extra_configs": _load_config(job, "extra_configs", job.extra_configs, variables, files),
    }
    settings = [("local", key, value) for key, value in job.local.items()]
    settings += [("input", key, _fetch(job, key, source, finished)) for key, source in job.input.items()]
    settings += [("update", key, value) for key, value in job.updates.items()]
    # A whole config is set before its parts, regardless of their order in the file.
    order = ("local", "input", "update")
    settings.sort(key=lambda setting: (order.index(setting[0]), "." in setting[1]))
    values = [(ConfigKey.parse(key), value) for _, key, value in settings]
    for (source_type, key, _), (config_key, value) in zip(settings, values, strict=True):
        name = config_key.config
        if not config_key.path:
            configs[name] = _load_config(job, name, value, variables, files)
            continue
        try:
            for item_path, item in _missing_items(configs[name], config_key, values):
                configs[name] = set_path(configs[name], item_path, deepcopy(item))
            configs[name] = set_path(configs[name], config_key.path, deepcopy(value))
        except ResolveError as error:
            raise ResolveError(f"{source_type} {key!r}: {error.what}", where=job.where(source_type, key)) from error
    recipe = configs["dj_configs"]
    return ResolvedJob(
        job, None if recipe is None else _single_or_multi_source(recipe), configs["extra_configs"] or {}, tuple(files)
    )


def _missing_items(
    config: object, key: ConfigKey, values: Sequence[tuple[ConfigKey, object]]
) -> Iterator[tuple[tuple[str, ...], object]]:
    """The items of a list that must exist before the one at a key, as other settings set them: `paths.0` for `paths.1`.

    `local` may set the second item of a list whose first one `input` sets.
    """
    parent, index = key.path[:-1], key.path[-1]
    if not index.isdecimal():
        return
    try:
        current = get_path(config, ".".join(parent)) if parent else config
    except ResolveError:
        current = None
    size = len(current) if isinstance(current, list) else 0 if current is None else int(index)
    items = {other.path: value for other, value in values if other.config == key.config and other.path[:-1] == parent}
    for number in range(size, int(index)):
        path = (*parent, str(number))
        if path not in items:
            return
        yield path, items[path]


def _load_config(job: Job, name: str, value: object, variables: Variables, files: list[str]) -> ConfigValues | None:
    """A copy of a config that is written as a mapping, or as the path of a file that contains one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        files.append(value)
        try:
            source = sources.read(value)
            unknown: list[str] = []
            value = fill(source.value, variables, unknown.append)
        except ConfigError as error:
            raise JobError(f"`{name}` of job {job.label!r}: {error}", where=job.where(name)) from error
        if unknown:
            what, hint = unknown_variable(unknown[0], variables)
            raise JobError(f"{what} in {source.file}", where=job.where(name), hint=hint)
    if value is not None and not isinstance(value, Mapping):
        raise JobError(f"`{name}` of job {job.label!r} is {shown(value)}, not a mapping", where=job.where(name))
    return deepcopy(dict(value)) if value is not None else None


def _fetch(job: Job, key: str, source: str, finished: Finished) -> LibraryObject:
    """The value of a context key, resolved relative to this job."""
    record, context_key = _find_record(job, source, finished)
    if record is not None:
        try:
            return deepcopy(get_path(record.outputs, context_key.path))
        except ResolveError as error:
            fault = error.what if context_key.output in record.outputs else ""
    else:
        fault = ""
    keys = visible_keys(job, finished)
    what = f"job {job.label!r}: `input` {key!r} reads {source!r}, which is not in the context"
    raise ResolveError(
        what + (f": {fault}" if fault else ""), where=job.where("input", key), hint=suggest(source, keys)
    )


def _find_record(job: Job, source: str, finished: Finished) -> tuple[JobRecord | None, ContextKey]:
    """The record that a key refers to, and the key as it is understood.

    If two jobs share a name (a probe and its refine job), the key refers to the later one that has the output.
    """
    keys = ContextKey.interpretations(source, job.pipeline)
    for key in keys:
        if key.job == PREVIOUS:
            return (finished[-1][1] if finished else None), key
        for _, record in reversed(_named(finished, key)):
            if key.output in record.outputs:
                return record, key
    return None, keys[-1]


def _named(finished: Finished, key: ContextKey) -> Finished:
    if isinstance(finished, NamedList):
        return finished.named(key.pipeline, key.job)
    return [item for item in finished if (item[0], item[1].meta_name) == (key.pipeline, key.job)]


def visible_keys(job: Job, finished: Finished) -> list[str]:
    """Every key of the context, in the form that this job's `input` would use."""
    keys = [f"{PREVIOUS}.{output}" for output in finished[-1][1].outputs] if finished else []
    for pipeline, record in finished:
        prefix = "" if pipeline == job.pipeline else f"{pipeline}."
        keys += [f"{prefix}{record.meta_name}.{output}" for output in record.outputs]
    return list(dict.fromkeys(keys))


def _single_or_multi_source(recipe: dict[str, object]) -> ConfigValues:
    """A recipe whose `dataset_path` is one path: a list of one is unwrapped, several become Data-Juicer's `dataset`."""
    paths = recipe.get("dataset_path")
    if not isinstance(paths, list):
        return recipe
    if len(paths) == 1:
        return {**recipe, "dataset_path": paths[0]}
    rest = {key: value for key, value in recipe.items() if key not in ("dataset_path", "dataset")}
    return {**rest, "dataset": {"configs": [{"type": "local", "path": path} for path in paths]}}
