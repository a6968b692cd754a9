"""Load a config file and its overrides into a `SandboxConfig`, or return all errors."""

from __future__ import annotations

import math
import os
import re
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.assignments import assign, qualified
from data_juicer_sandbox.config.interpolation import escape, fill, find_variable, mentions, unknown_variable
from data_juicer_sandbox.config.jobs import JobReader
from data_juicer_sandbox.config.keys import KEYS
from data_juicer_sandbox.config.limits import MAX_DEPTH, MAX_NAME, Budget, home_problem, path_problem
from data_juicer_sandbox.config.parallel import read_parallel
from data_juicer_sandbox.config.schema import ANONYMOUS, Phase, Pipeline, SandboxConfig
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.targets import read_targets
from data_juicer_sandbox.config.yaml_source import KeyPath, Source
from data_juicer_sandbox.context.keys import PREVIOUS
from data_juicer_sandbox.errors import ConfigError, ConfigErrors, Problems, TooManyProblems, Where
from data_juicer_sandbox.secrets import remember_all, shown
from data_juicer_sandbox.types import ConfigValues, JsonValue, Variables

if TYPE_CHECKING:
    from data_juicer_sandbox.config.sweep import Sweep

CONFIG_DIR = "config_dir"
"""The variable that holds the folder of the config. `vars` may set it, as stored configs do."""


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
    source: Source,
    overrides: Mapping[str, object] | None = None,
    assignments: Mapping[str, object] | None = None,
) -> tuple[SandboxConfig | None, list[ConfigError]]:
    """Like `load`, for the content of a config.

    Args:
        source: its `value` is a mapping.
        overrides: top-level keys that replace those of the source.
        assignments: values by dotted key, as `--set` gives them; they win over all else.
    """
    loading = _Loading(source, dict(overrides or {}), dict(assignments or {}))
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
    """A value as a config file could hold it: paths and dates as text, tuples as lists, mappings as dicts.

    Raises:
        ConfigError: it is nested too deeply, or contains itself.
    """
    if depth > MAX_DEPTH:
        raise ConfigError(f"values are nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {plain_value(key): plain_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item, depth + 1) for item in value]
    return value


def _job_files(pipelines: Sequence[Pipeline], config: Source) -> set[str]:
    """The files that jobs and their configs are read from, without that of the config itself."""
    jobs = [job for pipeline in pipelines for job in pipeline.jobs]
    named = {job.source.file for job in jobs if job.source is not config}
    named.update(path for job in jobs for path in (job.dj_configs, job.extra_configs) if isinstance(path, str))
    return named


def _contains(path: str, text: str) -> bool:
    """Whether a file contains a text; false if it cannot be read, which is reported when its job is planned."""
    with suppress(OSError, ValueError):
        return Path(path).is_file() and text.encode() in Path(path).read_bytes()
    return False


class _Loading:
    """Reads one config: its values and its problems."""

    def __init__(self, source: Source, overrides: dict[str, object], assignments: dict[str, object]):
        self.source = source
        self.problems: list[ConfigError] = Problems()
        content: ConfigValues = {**source.value, **overrides}
        assigned = assign(content, assignments, self.problems)
        self.overrides = {**overrides, **assigned.top_level}
        self.parameters = assigned.parameters
        self._assigned_keys = assigned.keys
        self._budget = Budget()
        self.values = {name: key.default for name, key in KEYS.items()}

    def add_problem(self, what: str, path: KeyPath = (), hint: str | None = None) -> None:
        where: Where | str = self.source.where(path)
        if path and path[0] in self.overrides:
            where = f"--set {path[0]}" if path[0] in self._assigned_keys else f"--{path[0]}"
        self.problems.append(ConfigError(what, where=where, hint=hint))

    def config(self) -> tuple[SandboxConfig, list[ConfigError]]:
        self._read_values()
        remember_all({**self.source.value, **self.overrides, **self.parameters})
        variables = self._variables()
        reader = JobReader(self.source, variables, self.problems)
        pipelines = self._pipelines(reader)
        self.parameters = {qualified(name, pipelines): value for name, value in self.parameters.items()}
        if self.parameters:
            parameters = {**(self.values["parameters"] or {}), **self.parameters}
            self.values["parameters"] = self.overrides["parameters"] = parameters
        names = self.values["watchers"]
        values = self.values
        converted = {
            **{name: variables[name] for name in ("project_name", "experiment_name", "work_dir")},
            "pipelines": tuple(pipelines),
            "sweep": self._sweep(variables),
            "parameters": self._parameters(variables),
            "iter_targets": read_targets(values["iter_targets"], self.add_problem),
            "iter_updater": values["iter_updater"] or {},
            "parallel": read_parallel(self._filled_parallel(variables), self.add_problem),
            "cache_dir": variables.get("cache_dir"),
            "watchers": None if names is None else tuple([names] if isinstance(names, str) else names),
            "variables": variables,
            "content": self._content(variables, pipelines),
            "overridden": frozenset(self.overrides),
            "assigned": frozenset((*self._assigned_keys, *self.parameters)),
            "source": self.source,
        }
        unchanged = {part.name: values[part.name] for part in fields(SandboxConfig) if part.name in KEYS}
        return SandboxConfig(**{**unchanged, **converted}), self.problems

    def _content(self, variables: Variables, pipelines: Sequence[Pipeline]) -> ConfigValues:
        """The config as it is stored; it means the same where it is written to another folder."""
        content = {**self.source.value, **self.overrides, "work_dir": escape(variables["work_dir"])}
        if mentions(content, CONFIG_DIR) or any(
            _contains(path, CONFIG_DIR) for path in _job_files(pipelines, self.source)
        ):
            content["vars"] = {**(content.get("vars") or {}), CONFIG_DIR: escape(variables[CONFIG_DIR])}
        return content

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

    def _variables(self) -> dict[str, JsonValue]:
        """The variables of the user, and every top-level scalar by name; each may use the ones above it."""
        values = self.values
        if values["work_dir"] is None:
            values["work_dir"] = "./outputs/${project_name}"
        variables = self._own_variables()
        for name, value in values.items():
            if isinstance(value, (str, int, float)):
                variables[name] = self._fill_known(str(value), variables, (name,))
                if not isinstance(variables[name], str):  # `${vars.x}`, a number
                    variables[name] = str(variables[name])
        names = ("project_name", "experiment_name", "work_dir", "hpo_config", "cache_dir")
        path_problems = {name: reason for name in names if (reason := path_problem(str(variables.get(name, ""))))}
        for name in ("work_dir", "hpo_config", "cache_dir"):
            if name in variables and name not in path_problems and (reason := _unusable_path(str(variables[name]))):
                path_problems[name] = reason
        for name, reason in path_problems.items():
            variables[name] = "x"
            if not (name == "work_dir" and "${project_name}" in values[name] and "project_name" in path_problems):
                self.add_problem(f"{name!r} cannot name a file or folder: {reason}", (name,))
        return variables

    def _own_variables(self) -> dict[str, JsonValue]:
        """The folder of the config, and the variables of `vars`, by their names with and without `vars.`."""
        variables: dict[str, JsonValue] = {CONFIG_DIR: str(Path(self.source.file).absolute().parent)}
        for name, value in (self.values["vars"] or {}).items():
            path: KeyPath = ("vars", name)
            if not isinstance(name, str) or not re.fullmatch(r"\w[\w-]*", name):
                self.add_problem(f"a variable's name must be letters, digits, `_` and `-`, not {shown(name)}", path)
            elif name in KEYS:
                self.add_problem(f"the variable {name!r} has the name of a top-level key", path, "another name")
            else:
                variables[name] = variables[f"vars.{name}"] = self._fill_known(value, variables, path)
        if (reason := path_problem(str(variables[CONFIG_DIR]))) is not None:
            self.add_problem(f"{CONFIG_DIR!r} cannot name a folder: {reason}", ("vars", CONFIG_DIR))
        remember_all({"vars": {name.removeprefix("vars."): value for name, value in variables.items()}})
        return variables

    def _fill_known(self, value: object, variables: Variables, path: KeyPath) -> JsonValue:
        """Fill in variables; unknown ones are errors."""
        unknown: list[str] = []
        filled = self._fill(value, variables, str(path[0]), unknown.append)
        for name in dict.fromkeys(unknown):
            what, hint = unknown_variable(name, variables)
            self.add_problem(what, (*path, *find_variable(value, name)), hint)
        return filled

    def _fill(
        self, value: object, variables: Variables, key: str, unknown: Callable[[str], None] = lambda name: None
    ) -> JsonValue:
        try:
            return fill(value, variables, unknown, self._budget)
        except ConfigError as error:
            self.add_problem(error.what, (key,), error.hint)
            return "x" if isinstance(value, str) else {}

    def _parameters(self, variables: Variables) -> ConfigValues:
        filled: ConfigValues = self._fill_known(self.values["parameters"] or {}, variables, ("parameters",))
        return filled

    def _filled_parallel(self, variables: Variables) -> JsonValue:
        return self._fill_known(self.values["parallel"], variables, ("parallel",))

    def _sweep(self, variables: Variables) -> Sweep | None:
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
