"""The paths that a job reads and writes, as far as its configs tell before the run."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from data_juicer_sandbox.components.base import Role, Written
from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.interpolation import fill
from data_juicer_sandbox.context.key_paths import set_path
from data_juicer_sandbox.context.keys import ConfigKey
from data_juicer_sandbox.errors import ConfigError, ResolveError
from data_juicer_sandbox.files import is_pattern, path_exists
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.types import ConfigValues, Variables
from data_juicer_sandbox.workflow.output_paths import PathRelocator, job_folder
from data_juicer_sandbox.workflow.planned_job import JobConfig, PlannedJob, recipe_paths, texts

_PACKAGE = __name__.partition(".")[0]
_PROGRAM_FILES = (".py", ".sh", ".bash", ".pl", ".r", ".R", ".jl", ".js")
_DATA_FILE = re.compile(
    r"\.(jsonl?|ndjson|csv|tsv|parquet|arrow|txt|log|md|html|ya?ml|toml|xml|pt|pth|bin|safetensors|gguf|np[yz]|pkl"
    r"|gz|zst|zip|tar|db|png|jpe?g)$"
)
_SEPARATORS = re.compile(r"[\s=<>|;,&'\"()]+")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_NO_PATHS = ("type", "cwd")
"""Keys of `extra_configs` that name no path which is read or written; a program's working directory is often shared."""
_MAX_LENGTH = 3500
ANYTHING = "/"
"""The path of a job that may write anything: it overlaps every other one."""


@dataclass(frozen=True)
class Accesses:
    """The paths of a job, absolute and with links resolved.

    Args:
        reads: what it reads.
        writes: what it declares as outputs, and its own folder.
        beside: the paths beside which it may write further files, such as `a_stats.jsonl` for `a.jsonl`.
        mentions: the other paths in the configs of a job that does not declare all its outputs: it may read or write
            them.
        absent: those of `reads` and `mentions` that do not exist or lie in the work directory, so that an earlier job
            may have yet to write them.
        is_declared: whether it declares all its outputs.
    """

    reads: frozenset[str]
    writes: frozenset[str]
    beside: frozenset[str]
    mentions: frozenset[str]
    absent: frozenset[str]
    is_declared: bool


class AccessReader:
    """Reads the accesses of the jobs of a run, in their order.

    Args:
        planned_jobs: all jobs.
        relocator: the relocator of their output paths; it has the work directory.
        variables: values of `${...}`.
    """

    def __init__(self, planned_jobs: Iterable[PlannedJob], relocator: PathRelocator, variables: Variables):
        self._variables = variables
        self._roots = {relocator.work_dir, relocator.root}
        self._work_dir = real(str(relocator.work_dir))
        outputs = (path for planned_job in planned_jobs for path, _, _ in planned_job.paths(Role.OUTPUT))
        self._output_roots = {path.partition("/")[0] for path in outputs}
        self._recipes: dict[str, ConfigValues | None] = {}

    def read(self, planned_job: PlannedJob, recipe_sources: Sequence[PlannedJob] = ()) -> Accesses:
        """The accesses of a job.

        Args:
            planned_job: the job.
            recipe_sources: the earlier jobs that write its recipe. It is assumed to have the paths of the recipe that
                they refine.
        """
        inherited = next(filter(None, (self._recipes.get(job.job.id) for job in recipe_sources)), None)
        try:
            extra = self._final(planned_job, planned_job.extra, None)
            recipe = self._recipes[planned_job.job.id] = self._final(planned_job, planned_job.recipe, inherited)
        except (ConfigError, ResolveError):  # the run reports it
            none: frozenset[str] = frozenset()
            return Accesses(
                reads=none, writes=frozenset({ANYTHING}), beside=none, mentions=none, absent=none, is_declared=False
            )
        component, hook, job = planned_job.component, planned_job.hook, planned_job.job
        extra, declared = extra or {}, parameters(component)[0] if component else {}
        by_role: dict[Role | None, list[str]] = {role: [] for role in (*Role, None)}
        for name, value in extra.items():
            if name not in _NO_PATHS:
                by_role[declared[name].role if name in declared else None] += texts(value)
        inputs = {
            *by_role[Role.INPUT],
            *(path for path in (job.dj_configs, job.extra_configs) if isinstance(path, str)),
        }
        ids = set(by_role[Role.MODEL])  # models, and data sets of a recipe, may also be on a hub
        writes, others, exports = set(by_role[Role.OUTPUT]), by_role[None], set[str]()
        if recipe and (component is None or planned_job.uses_recipe):
            exports = {path for _, path in recipe_paths(recipe, Role.OUTPUT)}
            ids.update(path for _, path in recipe_paths(recipe, Role.INPUT))
            others = [*others, *(text for text in texts(recipe) if text not in exports)]
            if hook is None or hook.writes_export:
                writes |= exports
        tokens = set(_paths_in(others, extra.get("cwd"))) - inputs - ids - writes
        is_declared = _declares_outputs(planned_job, extra)
        mentions = set() if is_declared else {path for path in tokens if not _is_program(path)}
        absent = {
            path
            for path in (*inputs, *mentions, *(path for path in ids if not self._is_id(path)))
            if self._is_absent(path)
        }
        folders = {str(job_folder(root, planned_job)) for root in self._roots}
        return Accesses(
            _real_paths(inputs | ids | (tokens - mentions)),
            _real_paths(writes | folders),
            _real_paths(writes | exports),
            _real_paths(mentions),
            _real_paths(absent),
            is_declared,
        )

    def _final(self, planned_job: PlannedJob, config: JobConfig, inherited: ConfigValues | None) -> ConfigValues | None:
        """A config with the values that `local` and updates set, without those that `input` sets.

        Args:
            planned_job: the job.
            config: one of its configs.
            inherited: what stands for a config that an earlier job writes.

        Raises:
            ConfigError: a config file cannot be read.
            ResolveError: a value cannot be set.
        """
        job = planned_job.job
        value = config.value if config.value is not None else inherited
        for settings in (job.local, dict.fromkeys(job.input), job.updates):
            for key, item in sorted(settings.items(), key=lambda setting: "." in setting[0]):
                config_key = ConfigKey.parse(key)
                if config_key.config != config.name:
                    continue
                if not config_key.path and item is None:
                    item = inherited
                elif not config_key.path and isinstance(item, str):
                    item = fill(sources.read(item).value, self._variables, lambda name: None)
                    if not isinstance(item, dict):
                        raise ResolveError("not a mapping")
                value = set_path(value, config_key.path, item)
        return value if isinstance(value, dict) else None

    def _is_absent(self, path: str) -> bool:
        """Whether a path does not exist, or lies in the work directory, where jobs write."""
        if "://" in path:
            return False
        if _is_below(real(path), self._work_dir):
            return True
        return not path_exists(path) and not (is_pattern(path) and any(glob.iglob(path, recursive=True)))  # noqa: PTH207

    def _is_id(self, text: str) -> bool:
        """Whether a text may be the id of a model or data set on a hub: `name` or `owner/name`."""
        head = text.partition("/")[0]
        return bool(_HUB_ID.fullmatch(text)) and not (
            _DATA_FILE.search(text) or head in (".", "..", *self._output_roots) or path_exists(head)
        )


def real(path: str) -> str:
    """The absolute path with links resolved. A pattern stands for the folder that contains all that it matches."""
    if is_pattern(path) or "{" in path:
        path = path[: re.search(r"[*?\[{]", path).start()].rpartition("/")[0] or ("/" if path[0] == "/" else ".")  # type: ignore[union-attr]
    parent, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    path = os.path.join(_real_folder(parent), name)  # noqa: PTH118
    return os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114


def _real_paths(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(real(path) for path in paths if "\0" not in path)


@cache
def _real_folder(path: str) -> str:
    return os.path.realpath(path)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _paths_in(values: Sequence[str], cwd: object) -> Iterator[str]:
    """The paths among texts, such as the arguments of a program: `--out=a/b.jsonl`, `cat a.txt > b.txt`."""
    for text in values:
        for part in {text, *_SEPARATORS.split(text)} if len(text) <= _MAX_LENGTH else ():
            is_path = "/" in part.strip("/.") or part.startswith(("/", "./", "../")) or _DATA_FILE.search(part)
            if is_path and "\0" not in part and "\n" not in part and not part.startswith("/dev/"):
                yield part
                if isinstance(cwd, str):
                    yield os.path.join(cwd, part)  # noqa: PTH118


def _is_program(path: str) -> bool:
    """Whether a path is a program or a source file."""
    return path_exists(path, file=True) and (path.endswith(_PROGRAM_FILES) or os.access(path, os.X_OK))


def is_own(cls: type[object] | None) -> bool:
    """Whether a class belongs to this package."""
    return cls is not None and cls.__module__.partition(".")[0] == _PACKAGE


def _declares_outputs(planned_job: PlannedJob, extra: Mapping[str, object]) -> bool:
    """Whether a job's configs declare all its outputs: a program's by `writes`, a plug-in's by an output parameter."""
    component, hook = planned_job.component, planned_job.hook
    if component is None or not is_own(hook):
        return False
    declared = parameters(component)[0].values()
    set_by_input = {ConfigKey.parse(key).path[:1] for key in planned_job.job.input}
    outputs = {(parameter.name,) for parameter in declared if parameter.role is Role.OUTPUT}
    if set_by_input & {*outputs, ("export_path",)}:
        return False
    if any(parameter.written is Written.BY_PROGRAM for parameter in declared):
        return extra.get("writes") is not None
    return is_own(component) or bool(outputs)
