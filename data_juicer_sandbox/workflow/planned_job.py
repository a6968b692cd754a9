"""`PlannedJob`: a job before the run, with its classes, its configs as written, its inputs and outputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from data_juicer_sandbox.code_policy import CodeNotImported, is_untrusted
from data_juicer_sandbox.components.base import Component, Role
from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.interpolation import fill, find_variable, unknown_variable
from data_juicer_sandbox.config.schema import Job
from data_juicer_sandbox.config.suggestions import nearest
from data_juicer_sandbox.config.yaml_source import KeyPath, Source
from data_juicer_sandbox.context.keys import ConfigKey
from data_juicer_sandbox.errors import MAX_PROBLEMS, ConfigError, Where
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.hooks import find_hook, similar_hook
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.secrets import remember_all
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.types import ConfigValues, JsonValue, Variables
from data_juicer_sandbox.workflow.named_list import NamedList


@dataclass(frozen=True)
class JobConfig:
    """One of a job's two configs, as written in the files.

    Args:
        name: `dj_configs` or `extra_configs`.
        value: its content; None if the job has no such config, or it is not known yet.
        is_known: whether `value` is the config that the job starts from (`input` and `local` may still set parts).
        missing: the path of its file, if that does not exist.
        source, path: the file that contains it, and its key path in that file.
        set_later: the key paths that `input` and `local` set.
    """

    name: str
    value: ConfigValues | None
    is_known: bool
    source: Source
    path: KeyPath
    set_later: tuple[tuple[str, ...], ...]
    missing: str | None = None

    def where(self, *key_path: str | int) -> Where:
        """The line of one of its keys."""
        return self.source.where((*self.path, *key_path))

    def skip(self, key_path: KeyPath) -> bool:
        """Whether `input` or `local` sets a value, or a part of it, so that it cannot be checked yet."""
        keys = tuple(map(str, key_path))
        return any(keys[: len(later)] == later or later[: len(keys)] == keys for later in self.set_later)


@dataclass(frozen=True)
class PlannedJob:
    """A job before the run."""

    job: Job
    hook: type[Hook] | None
    component: type[Component] | None
    recipe: JobConfig
    extra: JobConfig
    problems: list[ConfigError] = field(default_factory=list)
    unchecked: list[ConfigError] = field(default_factory=list)
    """What is not checked since its code is not imported (`--no-plugins`)."""

    @property
    def outputs(self) -> tuple[str, ...] | None:
        """The names of its outputs; None if they are not known before the run."""
        if self.job.output is not None:
            return self.job.output
        declared = self.hook.outputs(self.component) if self.hook and self.component else None
        return None if declared is None else tuple(f"res_{n}" for n in range(1, len(declared) + 1))

    @property
    def uses_recipe(self) -> bool:
        """Whether it runs the recipe: reads its data set and writes its export."""
        return bool(self.hook and self.hook.runs_recipe and self.component and self.hook.takes_recipe(self.component))

    def paths(self, role: Role) -> Iterator[tuple[str, Where, KeyPath]]:
        """The paths in its configs that have a role: path, position in the file, key path."""
        values = self.extra.value or {}
        if self.component is not None:
            for name, parameter in parameters(self.component)[0].items():
                if parameter.role is role and name in values:
                    for path in texts(values[name]):
                        yield path, self.extra.where(name), ("extra_configs", name)
        if self.uses_recipe and self.recipe.value:
            for key_path, path in recipe_paths(self.recipe.value, role):
                yield path, self.recipe.where(*key_path), ("dj_configs", *key_path)


def named_jobs(planned_jobs: Iterable[PlannedJob] = ()) -> NamedList[PlannedJob]:
    """A list of jobs that finds them by name."""
    return NamedList(lambda planned_job: (planned_job.job.pipeline, planned_job.job.meta_name), planned_jobs)


def plan_job(job: Job, variables: Variables) -> PlannedJob:
    """Load a job's configs and classes; errors become its `problems`."""
    problems: list[ConfigError] = []
    recipe, extra = (_load_config(job, name, variables, problems) for name in ("dj_configs", "extra_configs"))
    unchecked: list[ConfigError] = []
    hook: type[Hook] | None = None
    component: type[Component] | None = None

    def report(error: ConfigError, where: Where) -> None:
        target = unchecked if isinstance(error, CodeNotImported) and not is_untrusted() else problems
        target.append(ConfigError(f"job {job.label!r}: {error.what}", where=where, hint=error.hint))

    try:
        hook = find_hook(job.hook)
    except ConfigError as error:
        report(error, job.where("hook"))
        hook = None if isinstance(error, CodeNotImported) else similar_hook(job.hook)
    try:
        component = _component(hook, extra, None)
    except ConfigError as error:
        report(error, extra.where("type") if extra.value else job.where("extra_configs"))
        type_name = None if isinstance(error, CodeNotImported) else _similar_type(hook, extra)
        if type_name is not None:
            with suppress(ConfigError):  # checks the rest of the job too, so that all its errors are found at once
                component = _component(hook, extra, type_name)
    return PlannedJob(job, hook, component, recipe, extra, problems, unchecked)


def _component(hook: type[Hook] | None, extra: JobConfig, type_name: str | None) -> type[Component] | None:
    """The component class of a job, as far as it is known before the run.

    Args:
        hook: the job's hook.
        extra: its `extra_configs`.
        type_name: the `type` to use instead of the configured one.

    Raises:
        ConfigError: the type is unknown, or its class cannot be used.
    """
    if hook is None:
        return None
    if extra.is_known and not extra.skip(("type",)):
        values = extra.value if type_name is None else {**(extra.value or {}), "type": type_name}
        component = hook.component_class(values)
        parameters(component)
        return component
    return hook.component_class(None) if hook.factory is None else None


def _similar_type(hook: type[Hook] | None, extra: JobConfig) -> str | None:
    """The most similar known type, for an unknown one."""
    configured = (extra.value or {}).get("type")
    if hook is None or hook.factory is None or not isinstance(configured, str) or "." in configured:
        return None
    types = FACTORIES[hook.factory].types()
    return None if configured in types else nearest(configured, types)


def recipe_paths(recipe: Mapping[str, JsonValue], role: Role) -> Iterator[tuple[KeyPath, str]]:
    """Key path and path of the data sets that a recipe reads, or of the export that it writes."""
    if role is Role.OUTPUT and isinstance(recipe.get("export_path"), str):
        yield ("export_path",), recipe["export_path"]
    if role is Role.INPUT:
        for path in _paths(recipe.get("dataset_path")):
            # Data-Juicer's older syntax for several data sets: `<weight> <path> <weight> <path>`
            parts = path.split() if re.match(r"^[\d.]+\s", path) else [path]
            yield from ((("dataset_path",), part) for part in parts if not re.fullmatch(r"[\d.]+", part))
        data_set = recipe.get("dataset")
        configs = data_set.get("configs") if isinstance(data_set, Mapping) else None
        for index, entry in enumerate(configs if isinstance(configs, list) else []):
            if isinstance(entry, Mapping) and entry.get("type") == "local":
                yield from ((("dataset", "configs", index, "path"), path) for path in _paths(entry.get("path")))


def _paths(value: object) -> Iterator[str]:
    """The strings of a path or a list of paths; none of a mapping, which is an error of its own."""
    return texts(value) if isinstance(value, str | list) else iter(())


def _load_config(job: Job, name: str, variables: Variables, problems: list[ConfigError]) -> JobConfig:
    configured = getattr(job, name)
    keys = map(ConfigKey.parse, (*job.local, *job.input, *job.updates))
    later = tuple(key.path for key in keys if key.config == name)
    if () in later:
        return JobConfig(name, None, False, job.source, (*job.path, name), ())
    if not isinstance(configured, str):
        return JobConfig(name, configured, True, job.source, (*job.path, name), later)
    if not path_exists(configured):
        return JobConfig(name, None, False, job.source, (*job.path, name), later, missing=configured)
    try:
        source = sources.read(configured)
        if source.value is not None and not isinstance(source.value, dict):
            raise ConfigError("expected a mapping of keys", where=source.where())
        unknown: list[str] = []
        remember_all(source.value)
        value = fill(source.value, variables, unknown.append)
    except ConfigError as error:
        problems.append(ConfigError(f"`{name}` of job {job.label!r}: {error}", where=job.where(name)))
        return JobConfig(name, None, False, job.source, (*job.path, name), later)
    for variable in list(dict.fromkeys(unknown))[:MAX_PROBLEMS]:
        what, hint = unknown_variable(variable, variables)
        where = source.where(find_variable(source.value, variable))
        problems.append(ConfigError(f"job {job.label!r}: {what}", where=where, hint=hint))
    return JobConfig(name, value, True, source, (), later)
