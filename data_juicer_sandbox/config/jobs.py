"""Read job lists into `Job` objects."""

from __future__ import annotations

from collections.abc import Mapping

from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.interpolation import fill, find_variable, unknown_variable
from data_juicer_sandbox.config.limits import MAX_NAME, Budget, path_problem
from data_juicer_sandbox.config.parallel import read_resources
from data_juicer_sandbox.config.schema import Job, Phase, Pipeline
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import KeyPath, Source
from data_juicer_sandbox.context.keys import CONFIGS, PREVIOUS, ConfigKey
from data_juicer_sandbox.context.provenance import BOOKKEEPING
from data_juicer_sandbox.errors import ConfigError, ResolveError
from data_juicer_sandbox.secrets import remember_all, shown
from data_juicer_sandbox.types import ConfigValues, JsonValue, Variables

JOB_KEYS = ("hook", "meta_name", "input", "output", "local", "dj_configs", "extra_configs", "resources")
RESERVED = ("meta_name", BOOKKEEPING)
"""Reserved keys of a context record; no output may have these names."""


class JobReader:
    """Reads the jobs of one config.

    Args:
        source: the config file, for the lines.
        variables: the values of `${...}`.
        problems: receives the problems.
    """

    def __init__(self, source: Source, variables: Variables, problems: list[ConfigError]):
        self.source, self.variables, self.problems = source, variables, problems
        self._budget = Budget()

    def pipeline(self, name: str, lists: Mapping[Phase, object], path: KeyPath) -> Pipeline:
        """Read a pipeline; a job that cannot be read is left out, and its faults noted."""
        jobs: list[Job] = []
        for phase in Phase:
            entries = lists[phase]
            if entries is None:
                continue
            if not isinstance(entries, list):
                self._add_problem("expected a list of jobs", self.source, (*path, phase.key))
                continue
            for index, entry in enumerate(entries):
                job = self._job(name, phase, index + 1, entry, (*path, phase.key, index))
                if job is not None:
                    jobs.append(job)
        self._names(jobs)
        return Pipeline(name, tuple(jobs))

    def _job(self, pipeline: str, phase: Phase, position: int, entry: object, path: KeyPath) -> Job | None:
        source = self.source
        if isinstance(entry, str):
            try:
                source, path = sources.read(self._fill(entry, source, path)), ()
            except ConfigError as error:
                where = self.source.where(path)
                self.problems.append(
                    ConfigError(
                        f"job file {error}", where=where, hint="a mapping, or the path of a file with a mapping"
                    )
                )
                return None
            entry = source.value
        if not isinstance(entry, dict):
            self._add_problem("a job must be a mapping, or the path of a file with a mapping", source, path)
            return None
        for key in entry:
            if key not in JOB_KEYS:
                self._add_problem(f"unknown job key {shown(key)}", source, (*path, key), suggest(str(key), JOB_KEYS))
        hook = entry.get("hook")
        if not isinstance(hook, str):
            self._add_problem("the job needs a `hook`", source, path, "see `dj-sandbox list`")
            return None
        if len(hook.encode()) > MAX_NAME:
            self._add_problem(f"`hook` is longer than {MAX_NAME} bytes", source, (*path, "hook"))
            return None
        name = entry.get("meta_name")
        if name is not None and (
            not isinstance(name, str) or any(sign in name for sign in "./\0") or name in ("", PREVIOUS)
        ):
            what = f"`meta_name` must be a word without dots or slashes, not {shown(name)}"
            self._add_problem(what, source, (*path, "meta_name"))
            name = None
        elif name is not None and len(name.encode()) > MAX_NAME:
            self._add_problem(f"`meta_name` is longer than {MAX_NAME} bytes", source, (*path, "meta_name"))
            name = None
        local = self._setting(entry.get("local"), source, (*path, "local"))
        return Job(
            pipeline=pipeline,
            phase=phase,
            position=position,
            hook=hook,
            meta_name=name or f"{phase.value}_{position}_{hook.rpartition('.')[2]}",
            named=name is not None,
            input=self._input(entry.get("input"), source, (*path, "input")),
            output=self._output(entry.get("output"), source, (*path, "output")),
            local={key: value for key, value in local.items() if _is_setting(key)},
            dj_configs=self._configs(entry, "dj_configs", source, path),
            extra_configs=self._configs(entry, "extra_configs", source, path),
            resources=read_resources(
                entry.get("resources"),
                (*path, "resources"),
                lambda what, key_path, hint: self._add_problem(what, source, key_path, hint),
            ),
            source=source,
            path=path,
        )

    def _configs(self, entry: dict[str, object], key: str, source: Source, path: KeyPath) -> str | ConfigValues | None:
        value = entry.get(key)
        if value is not None and not isinstance(value, (dict, str)):
            self._add_problem(
                f"`{key}` must be a mapping, the path of a YAML or JSON file, or null", source, (*path, key)
            )
            return None
        filled = self._fill(value, source, (*path, key))
        if isinstance(filled, str) and (reason := path_problem(filled)):
            self._add_problem(f"`{key}` cannot name a file: {reason}", source, (*path, key))
            return None
        return filled

    def _setting(self, value: object, source: Source, path: KeyPath) -> ConfigValues:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._add_problem(f"`{path[-1]}` must be a mapping of keys to set", source, path)
            return {}
        for key in value:
            if not _is_setting(key):
                hint = "as in `dj_configs.dataset_path` or `extra_configs.model`"
                what = f"{shown(key)} does not start with {' or '.join(CONFIGS)}"
                self._add_problem(what, source, (*path, key), hint)
        filled: ConfigValues = self._fill(value, source, path)
        return filled

    def _input(self, value: object, source: Source, path: KeyPath) -> dict[str, str]:
        inputs = self._setting(value, source, path)
        for key, value in inputs.items():
            if not isinstance(value, str):
                hint = "as in `<pipeline>.<meta_name>.<output>` or `-1.<output>`"
                self._add_problem(f"`input` must map to keys of the context, not {value!r}", source, (*path, key), hint)
        return {key: value for key, value in inputs.items() if _is_setting(key) and isinstance(value, str)}

    def _output(self, value: object, source: Source, path: KeyPath) -> tuple[str, ...] | None:
        if value is None:
            return None
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            self._add_problem("`output` must be a name or a list of names", source, path)
            return None
        for name in names:
            if name in RESERVED or "." in name:
                self._add_problem(
                    f"an output cannot be named {name!r}", source, path, "no dots, and not " + ", ".join(RESERVED)
                )
        if len(set(names)) < len(names):
            self._add_problem("two outputs have the same name", source, path)
        return tuple(names)

    def _names(self, jobs: list[Job]) -> None:
        """Names are unique, but a refine job may have the name of the probe whose result it reads."""
        jobs_by_name: dict[str, list[Job]] = {}
        for job in jobs:
            same = jobs_by_name.setdefault(job.meta_name, [])
            clash = [first for first in same if (first.phase, job.phase) != (Phase.PROBE, Phase.REFINE)]
            same.append(job)
            for first in clash[:1]:
                self._add_problem(
                    f"`meta_name` {job.meta_name!r} is already used on line {first.where('meta_name').line}",
                    job.source,
                    (*job.path, "meta_name"),
                    "names must be unique within a pipeline",
                )

    def _fill(self, value: object, source: Source, path: KeyPath) -> JsonValue:
        def unknown(name: str) -> None:
            what, hint = unknown_variable(name, self.variables)
            self._add_problem(what, source, (*path, *find_variable(value, name)), hint)

        try:
            filled = fill(value, self.variables, unknown, self._budget)
            if filled != value:
                remember_all(filled)  # a password by a variable
            return filled
        except ConfigError as error:
            self._add_problem(error.what, source, path, error.hint)
            return None if isinstance(value, str) else type(value)()

    def _add_problem(self, what: str, source: Source, path: KeyPath, hint: str | None = None) -> None:
        self.problems.append(ConfigError(what, where=source.where(path), hint=hint))


def _is_setting(key: object) -> bool:
    """Whether a key of `local` or `input` names a config of the job, or a key in it."""
    try:
        ConfigKey.parse(str(key))
    except ResolveError:
        return False
    return True
