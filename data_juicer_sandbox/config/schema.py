"""The config as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from data_juicer_sandbox.config.parallel import Parallel, Resources
from data_juicer_sandbox.config.yaml_source import KeyPath, Source
from data_juicer_sandbox.errors import Where
from data_juicer_sandbox.types import ConfigValues, JsonValue, Variables

if TYPE_CHECKING:
    from data_juicer_sandbox.config.sweep import Sweep

ANONYMOUS = "anonymous"
"""Name of the pipeline of a config without `pipelines`."""


class Phase(str, Enum):
    """The four phases of a pipeline, in the order they run."""

    PROBE = "probe"
    REFINE = "refine_recipe"
    EXECUTION = "execution"
    EVALUATION = "evaluation"

    @property
    def key(self) -> str:
        """The config key of this phase's job list."""
        return f"{self.value}_job_configs"


@dataclass(frozen=True)
class Job:
    """One entry of a job list.

    `dj_configs` and `extra_configs` are as written: a mapping, the path of a file (perhaps not there yet), or None.
    """

    pipeline: str
    phase: Phase
    position: int
    """Counted from 1 within its phase."""
    hook: str
    meta_name: str
    named: bool
    """Whether the user gave `meta_name`; if not it is made from phase, position and hook."""
    input: Mapping[str, str] = field(default_factory=dict)
    output: tuple[str, ...] | None = None
    local: Mapping[str, JsonValue] = field(default_factory=dict)
    updates: Mapping[str, JsonValue] = field(default_factory=dict)
    """What an earlier pass or a search sets, over all else: key to set, value."""
    dj_configs: str | ConfigValues | None = None
    extra_configs: str | ConfigValues | None = None
    resources: Resources = field(default_factory=Resources)
    """What the job needs, or each of its items."""
    source: Source = field(default_factory=lambda: Source("<memory>", None), compare=False, repr=False)
    path: KeyPath = field(default=(), compare=False, repr=False)

    @cached_property
    def id(self) -> str:
        """Unique identifier: pipeline, phase and name."""
        return f"{self.pipeline}/{self.phase.value}/{self.meta_name}"

    @property
    def label(self) -> str:
        """Short name for messages: pipeline and name."""
        return f"{self.pipeline}.{self.meta_name}"

    def where(self, *path: str | int) -> Where:
        """The line of one of its keys."""
        return self.source.where((*self.path, *path))


@dataclass(frozen=True)
class Pipeline:
    """A name and its jobs, all phases in order."""

    name: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Target:
    """A condition that ends the iterations: `<pipeline>.<meta_name>.<output> <op> <number>`."""

    key: str
    op: str
    number: float


@dataclass(frozen=True)
class SandboxConfig:
    """A whole run."""

    project_name: str
    experiment_name: str
    work_dir: str
    resume: bool
    debug: bool
    pipelines: tuple[Pipeline, ...]
    hpo_config: str | None = None
    sweep: Sweep | None = None
    """What `hpo_config` says."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """Values set over all else, by the names that a search gives them."""
    max_iter_num: int = 1
    iter_targets: tuple[Target, ...] = ()
    iter_targets_mode: str = "all"
    iter_updater: Mapping[str, str] = field(default_factory=dict)
    iter_subdir: bool = False
    max_hours: float | None = None
    patience: int | None = None
    parallel: Parallel = field(default_factory=Parallel)
    on_error: str = "stop"
    cache_dir: str | None = None
    watchers: tuple[str, ...] | None = None
    variables: Variables = field(default_factory=dict)
    """What `${...}` may name."""
    content: Mapping[str, JsonValue] = field(default_factory=dict, compare=False, repr=False)
    """What the file says, the flags and environment variables over it."""
    overridden: frozenset[str] = field(default_factory=frozenset, compare=False, repr=False)
    """The keys that came by flag or environment variable."""
    assigned: frozenset[str] = field(default_factory=frozenset, compare=False, repr=False)
    """The top-level keys and parameters that `--set` sets."""
    source: Source = field(default_factory=lambda: Source("<memory>", None), compare=False, repr=False)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the config was read from."""
        return (self.source.file, *((self.hpo_config,) if self.hpo_config else ()))

    def where(self, key: str) -> Where | str:
        """Where a top-level key was set: its line, or the flag."""
        if key in self.assigned:
            return f"--set {key}"
        return f"--{key}" if key in self.overridden else self.source.where((key,))

    def where_parameter(self, name: str) -> Where | str:
        """Where a value of `parameters` was set."""
        if name in self.assigned:
            return f"--set {name}"
        return "--parameters" if "parameters" in self.overridden else self.source.where(("parameters", name))

    def jobs(self) -> Iterator[Job]:
        """All jobs in the order they run."""
        for pipeline in self.pipelines:
            yield from pipeline.jobs
