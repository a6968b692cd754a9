"""Load a config file and its overrides into a `SandboxConfig`, or return all errors."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.interpolation import escape, fill, find_variable
from data_juicer_sandbox.config.jobs import JobReader
from data_juicer_sandbox.config.keys import KEYS
from data_juicer_sandbox.config.limits import MAX_DEPTH, MAX_NAME, Budget, home_problem, path_problem
from data_juicer_sandbox.config.schema import ANONYMOUS, Phase, Pipeline, SandboxConfig
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.targets import read_targets
from data_juicer_sandbox.config.yaml_source import KeyPath, Source
from data_juicer_sandbox.context.keys import PREVIOUS
from data_juicer_sandbox.errors import ConfigError, ConfigErrors, Problems, TooManyProblems, Where
from data_juicer_sandbox.secrets import remember_all, shown
from data_juicer_sandbox.types import ConfigValues, JsonValue

if TYPE_CHECKING:
    from data_juicer_sandbox.config.sweep import Sweep


def load(path: str, overrides: Mapping[str, object] | None = None) -> tuple[SandboxConfig | None, list[ConfigError]]:
    """Read a config file.

    Args:
        path: a YAML or JSON file.
        overrides: top-level keys from flags and the environment; they win over the file.

    Returns:
        the config (None if the file cannot be read) and all errors so far. `validation` finds the errors that depend
        on hooks and components.
    """
    try:
        source = read_source(path)
    except ConfigError as error:
        return None, [error]
    return load_source(source, overrides)


def read_source(path: str) -> Source:
    """Read a config file without interpreting its keys.

    Raises:
        ConfigError: the file cannot be read, is empty, or does not hold a mapping.
    """
    source = sources.read(path)
    if source.value is None:
        raise ConfigError("the file is empty", where=Where(path), hint="see `dj-sandbox cp` for one to start from")
    if not isinstance(source.value, dict):
        raise ConfigError("a config must be a mapping of keys", where=source.where())
    return source


def load_source(
    source: Source, overrides: Mapping[str, object] | None = None
) -> tuple[SandboxConfig | None, list[ConfigError]]:
    """Like `load`, for the content of a config.

    Args:
        source: its `value` is a mapping.
        overrides: top-level keys that replace those of the source.
    """
    loading = _Loading(source, dict(overrides or {}))
    try:
        return loading.config()
    except TooManyProblems:
        return None, loading.problems


def load_or_raise(path: str, overrides: Mapping[str, object] | None = None) -> SandboxConfig:
    """Like `load`, but raises the errors.

    Raises:
        ConfigErrors: anything is wrong.
    """
    config, problems = load(path, overrides)
    if problems or config is None:
        raise ConfigErrors(problems)
    return config


def plain_value(value: object, depth: int = 0) -> JsonValue:
    """A value as a config file could hold it: paths as text, tuples as lists, mappings as dicts.

    Raises:
        ConfigError: it is nested too deeply, or contains itself.
    """
    if depth > MAX_DEPTH:
        raise ConfigError(f"values are nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {plain_value(key): plain_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item, depth + 1) for item in value]
    return value


class _Loading:
    """Reads one config: its values and its problems."""

    def __init__(self, source: Source, overrides: dict[str, object]):
        self.source, self.overrides = source, overrides
        self.problems: list[ConfigError] = Problems()
        self._budget = Budget()
        self.values = {name: key.default for name, key in KEYS.items()}

    def add_problem(self, what: str, path: KeyPath = (), hint: str | None = None) -> None:
        where: Where | str = self.source.where(path)
        if path and path[0] in self.overrides:
            where = f"--{path[0]}"
        self.problems.append(ConfigError(what, where=where, hint=hint))

    def config(self) -> tuple[SandboxConfig, list[ConfigError]]:
        self._read_values()
        remember_all({**self.source.value, **self.overrides})
        variables = self._variables()
        reader = JobReader(self.source, variables, self.problems)
        pipelines = self._pipelines(reader)
        names = self.values["watchers"]
        values = self.values
        converted = {
            **{name: variables[name] for name in ("project_name", "experiment_name", "work_dir")},
            "pipelines": tuple(pipelines),
            "sweep": self._sweep(variables),
            "parameters": self._parameters(variables),
            "iter_targets": read_targets(values["iter_targets"], self.add_problem),
            "iter_updater": values["iter_updater"] or {},
            "watchers": None if names is None else tuple([names] if isinstance(names, str) else names),
            "variables": variables,
            "content": {**self.source.value, **self.overrides, "work_dir": escape(variables["work_dir"])},
            "overridden": frozenset(self.overrides),
            "source": self.source,
        }
        unchanged = {part.name: values[part.name] for part in fields(SandboxConfig) if part.name in KEYS}
        return SandboxConfig(**{**unchanged, **converted}), self.problems

    def _read_values(self) -> None:
        for name, value in {**self.source.value, **self.overrides}.items():
            key = KEYS.get(name)
            if key is None:
                self.add_problem(f"unknown key {shown(name)}", (name,), suggest(str(name), KEYS))
            elif value is None and name not in ("project_name", "experiment_name"):
                continue  # a key left empty is a key left out
            elif not _has_type(value, key.type):
                expected = _describe_type(key.type)
                self.add_problem(f"{name!r} must be {expected}, not {shown(value, key=name)}", (name,))
            else:
                self.values[name] = value
        if self.values["max_iter_num"] < 0:
            self.add_problem("'max_iter_num' must be 0 (until the targets hold) or more", ("max_iter_num",))
        for name, key in KEYS.items():
            value = self.values[name]
            if key.choices and value not in key.choices:
                self.add_problem(f"{name!r} must be {' or '.join(f'`{choice}`' for choice in key.choices)}", (name,))
            if key.positive and value is not None and not 0 < value < math.inf:
                self.add_problem(f"{name!r} must be more than 0, and finite", (name,))

    def _variables(self) -> dict[str, str]:
        """Every top-level scalar by name; `work_dir` may use the ones above it."""
        values = self.values
        if values["work_dir"] is None:
            values["work_dir"] = "./outputs/${project_name}"
        variables: dict[str, str] = {}
        for name, value in values.items():
            if isinstance(value, (str, int, float)):
                unknown: list[str] = []
                variables[name] = self._fill(str(value), variables, name, unknown.append)
                for other in unknown:
                    self.add_problem(f"unknown variable ${{{other}}}", (name,), suggest(other, variables))
        names = ("project_name", "experiment_name", "work_dir", "hpo_config")
        path_problems = {name: reason for name in names if (reason := path_problem(variables.get(name, "")))}
        for name in ("work_dir", "hpo_config"):
            if name in variables and name not in path_problems and (reason := _unusable_path(variables[name])):
                path_problems[name] = reason
        for name, reason in path_problems.items():
            variables[name] = "x"
            if not (name == "work_dir" and "${project_name}" in values[name] and "project_name" in path_problems):
                self.add_problem(f"{name!r} cannot name a file or folder: {reason}", (name,))
        return variables

    def _fill(
        self, value: object, variables: Mapping[str, str], key: str, unknown: Callable[[str], None] = lambda name: None
    ) -> JsonValue:
        try:
            return fill(value, variables, unknown, self._budget)
        except ConfigError as error:
            self.add_problem(error.what, (key,))
            return "x" if isinstance(value, str) else {}

    def _parameters(self, variables: Mapping[str, str]) -> ConfigValues:
        parameters = self.values["parameters"] or {}
        unknown: list[str] = []
        filled: ConfigValues = self._fill(parameters, variables, "parameters", unknown.append)
        for name in dict.fromkeys(unknown):
            path = ("parameters", *find_variable(parameters, name))
            hint = suggest(name, variables) + "; write $${ for a literal ${"
            self.add_problem(f"unknown variable ${{{name}}}", path, hint)
        return filled

    def _sweep(self, variables: Mapping[str, str]) -> Sweep | None:
        if self.values["hpo_config"] is None:
            return None
        from data_juicer_sandbox.config.sweep import read_sweep  # only a search needs it

        path = variables["hpo_config"]
        beside = Path(self.source.file).parent / path
        if not Path(path).exists() and beside.exists():  # a sweep lies beside its config, wherever that was copied to
            path = str(beside)
        sweep, problems = read_sweep(path, variables)
        if sweep is None and problems[0].what == "no such file":
            self.add_problem(f"`hpo_config`: the file {path!r} does not exist", ("hpo_config",))
        else:
            self.problems += problems
        return sweep

    def _pipelines(self, reader: JobReader) -> list[Pipeline]:
        entries_or_mapping = self.values["pipelines"]
        lists = {phase: self.values[phase.key] for phase in Phase}
        if entries_or_mapping is None:
            return [reader.pipeline(ANONYMOUS, lists, ())]
        for phase, jobs in lists.items():
            if jobs is not None:
                self.add_problem(
                    f"'pipelines' and {phase.key!r} cannot be used together", (phase.key,), "move it into a pipeline"
                )
        pipelines: list[Pipeline] = []
        names: set[str] = set()
        is_mapping = isinstance(entries_or_mapping, dict)
        entries = entries_or_mapping.items() if is_mapping else self._numbered_entries(entries_or_mapping)
        for entry in entries:
            index, (name, body) = (None, entry) if is_mapping else entry
            path: KeyPath = ("pipelines", name) if index is None else ("pipelines", index, name)
            if set("./\0") & set(str(name)) or str(name) in ("", PREVIOUS):
                self.add_problem(
                    f"a pipeline's name must not be -1, or contain dots, slashes or zero bytes: {shown(name)}",
                    path,
                )
            if len(str(name).encode()) > MAX_NAME:
                self.add_problem(f"a pipeline's name is longer than {MAX_NAME} bytes", path)
                continue
            if str(name) in names:
                self.add_problem(f"two pipelines are named {name!r}", path)
                continue
            if body is not None and not isinstance(body, dict):
                self.add_problem(f"pipeline {name!r} must hold job lists, not {shown(body, 40)}", path)
                continue
            body = body or {}
            names.add(str(name))
            phase_keys = {phase.key for phase in Phase}
            for key in body:
                if key not in phase_keys:
                    self.add_problem(
                        f"unknown key {shown(key)} in pipeline {name!r}", (*path, key), suggest(str(key), phase_keys)
                    )
            lists = {phase: body.get(phase.key) for phase in Phase}
            pipelines.append(reader.pipeline(str(name), lists, path))
        return pipelines

    def _numbered_entries(self, items: list[object]) -> list[tuple[int, tuple[JsonValue, JsonValue]]]:
        entries = []
        for index, entry in enumerate(items):
            if isinstance(entry, dict) and len(entry) == 1:
                entries.append((index, next(iter(entry.items()))))
            else:
                self.add_problem(
                    "an entry of 'pipelines' must be a mapping of one name to its job lists", ("pipelines", index)
                )
        return entries


def _unusable_path(path: str) -> str | None:
    """Why a path is not what its writer meant: an unset variable of the shell, or a `~` that nobody expands."""
    if not path.strip():
        return "it is empty"
    return home_problem(path)


def _has_type(value: object, expected: object) -> bool:
    """Whether a value is of a type or union of types; a bool is not an int."""
    choices = get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
    return any(type(value) is choice for choice in choices)


def _describe_type(expected: object) -> str:
    words = {
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    choices = get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
    return " or ".join(words[choice] for choice in choices if choice is not type(None))
