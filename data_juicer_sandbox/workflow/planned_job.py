"""`PlannedJob`: a job before the run, with its classes, its configs as written, its inputs and outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.interpolation import fill
from data_juicer_sandbox.config.schema import Job
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import KeyPath, Source
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.files import is_there
from data_juicer_sandbox.hooks import find_hook
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.secrets import remember_all
from data_juicer_sandbox.signatures import parameters


@dataclass(frozen=True)
class JobConfig:
    """One of a job's two configs, as it stands in the files.

    Args:
        name: `dj_configs` or `extra_configs`.
        value: its content; None where there is none, or it is not known yet.
        known: whether `value` is what the job starts from (`input` and `local` may still set parts).
        missing: the file it should come from, if that is not there.
        source, path: the file it stands in, and where in there.
        set_later: the ways that `input` and `local` set.
    """

    name: str
    value: dict[str, Any] | None
    known: bool
    source: Source
    path: KeyPath
    set_later: tuple[tuple[str, ...], ...]
    missing: str | None = None

    def where(self, *way: str | int) -> Where:
        """The line of one of its keys."""
        return self.source.where((*self.path, *way))

    def skip(self, way: KeyPath) -> bool:
        """Whether a value is set by `input` or `local`, wholly or in parts, and so is not to be judged yet."""
        words = tuple(map(str, way))
        return any(words[: len(later)] == later or later[: len(words)] == words for later in self.set_later)


@dataclass(frozen=True)
class PlannedJob:
    """A job before the run."""

    job: Job
    hook: type[Hook] | None
    component: type[Any] | None
    recipe: JobConfig
    extra: JobConfig
    problems: list[ConfigError] = field(default_factory=list)

    @property
    def outputs(self) -> tuple[str, ...] | None:
        """The names of what it will put out, where they are known."""
        if self.job.output is not None:
            return self.job.output
        declared = self.hook.outputs(self.component) if self.hook and self.component else None
        return None if declared is None else tuple(f"res_{n}" for n in range(1, len(declared) + 1))

    @property
    def uses_recipe(self) -> bool:
        """Whether it runs the recipe: reads the data set that is named there, and writes the export."""
        return bool(self.hook and self.hook.runs_recipe and self.component and self.hook.takes_recipe(self.component))

    def paths(self, role: Role) -> Iterator[tuple[str, Where, KeyPath]]:
        """The paths in its configs that play a role: the path, where it stands, the key it stands at."""
        values = self.extra.value or {}
        if self.component is not None:
            for name, parameter in parameters(self.component)[0].items():
                if parameter.role is role and name in values:
                    for path in _texts(values[name]):
                        yield path, self.extra.where(name), ("extra_configs", name)
        if self.uses_recipe and self.recipe.value:
            for way, path in recipe_paths(self.recipe.value, role):
                yield path, self.recipe.where(*way), ("dj_configs", *way)


def plan_job(job: Job, variables: Mapping[str, str]) -> PlannedJob:
    """Look at a job; what cannot be found is among its `problems`."""
    problems: list[ConfigError] = []
    recipe, extra = (_config(job, name, variables, problems) for name in ("dj_configs", "extra_configs"))
    hook, component = None, None
    try:
        hook = find_hook(job.hook)
        if extra.known and not extra.skip(("type",)):
            component = hook.component_class(extra.value)
            parameters(component)
        elif hook.factory is None:
            component = hook.component_class(None)
    except ConfigError as error:
        component = None
        if hook is None:
            where = job.where("hook")
        else:
            where = extra.where("type") if extra.value else job.where("extra_configs")
        problems.append(ConfigError(f"job {job.label!r}: {error.what}", where=where, hint=error.hint))
    return PlannedJob(job, hook, component, recipe, extra, problems)


def recipe_paths(recipe: Mapping[str, Any], role: Role) -> Iterator[tuple[KeyPath, str]]:
    """The data sets a recipe reads, or the export it writes, and where in the recipe they stand."""
    if role is Role.OUTPUT and isinstance(recipe.get("export_path"), str):
        yield ("export_path",), recipe["export_path"]
    if role is Role.INPUT:
        for path in _texts(recipe.get("dataset_path")):
            # Data-Juicer's older way to name several: `<weight> <path> <weight> <path>`
            parts = path.split() if re.match(r"^[\d.]+\s", path) else [path]
            yield from ((("dataset_path",), part) for part in parts if not re.fullmatch(r"[\d.]+", part))
        data_set = recipe.get("dataset")
        configs = data_set.get("configs") if isinstance(data_set, Mapping) else None
        for index, entry in enumerate(configs if isinstance(configs, list) else []):
            if isinstance(entry, Mapping) and entry.get("type") == "local":
                yield from ((("dataset", "configs", index, "path"), path) for path in _texts(entry.get("path")))


def texts(value: Any) -> Iterator[str]:
    """Every string inside a value."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    else:
        yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _config(job: Job, name: str, variables: Mapping[str, str], problems: list[ConfigError]) -> JobConfig:
    given = getattr(job, name)
    keys = [key for key in (*job.local, *job.input, *job.updates) if key.partition(".")[0] == name]
    later = tuple(tuple(key.split(".")[1:]) for key in keys)
    if () in later:
        return JobConfig(name, None, False, job.source, (*job.path, name), ())
    if not isinstance(given, str):
        return JobConfig(name, given, True, job.source, (*job.path, name), later)
    if not is_there(given):
        return JobConfig(name, None, False, job.source, (*job.path, name), later, missing=given)
    try:
        source = sources.read(given)
        if source.value is not None and not isinstance(source.value, dict):
            raise ConfigError("a mapping of keys is wanted", where=source.where())
        unknown: list[str] = []
        remember_all(source.value)
        value = fill(source.value, variables, unknown.append)
    except ConfigError as error:
        problems.append(ConfigError(f"`{name}` of job {job.label!r}: {error}", where=job.where(name)))
        return JobConfig(name, None, False, job.source, (*job.path, name), later)
    for other in dict.fromkeys(unknown):
        hint = suggest(other, variables) + "; a plain ${ is written $${"
        problems.append(
            ConfigError(f"job {job.label!r}: unknown variable ${{{other}}}", where=source.where(), hint=hint)
        )
    return JobConfig(name, value, True, source, (), later)
