"""`Watcher`: passes the metrics and configs of jobs to the trackers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.plugins import import_object, plugins
from data_juicer_sandbox.secrets import mask, shown
from data_juicer_sandbox.types import Metrics
from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.watchers.base import RunInfo, Tracker, flat_values
from data_juicer_sandbox.watchers.wandb import configured

if TYPE_CHECKING:
    from typing_extensions import Self

LOCAL = "local"
TRACKERS = {
    LOCAL: "data_juicer_sandbox.watchers.local:LocalTracker",
    "wandb": "data_juicer_sandbox.watchers.wandb:WandbTracker",
}


def known_trackers() -> dict[str, str]:
    """All trackers by name, including plug-ins (`data_juicer_sandbox.watchers`), as `module:Class`."""
    return {**plugins("watchers"), **TRACKERS}


def chosen(names: Sequence[str] | None) -> list[str]:
    """The names of the trackers to use for the config key `watchers`; always includes `local`.

    Under `--untrusted` there is no other: W&B reads the address of its server from a file in the current folder, which
    may be somebody else's, and would send the key there.

    Raises:
        ConfigError: a tracker is unknown, or `wandb` is named but not configured.
    """
    if is_untrusted():
        return [LOCAL]
    if names is None:
        return [LOCAL, "wandb"] if configured() else [LOCAL]
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"a watcher is a name, not {shown(name)}")
        if name not in TRACKERS and name not in known_trackers():
            raise ConfigError(f"unknown watcher {name!r}", hint=suggest(name, known_trackers()))
    if "wandb" in names and not configured():
        raise ConfigError(
            "`watchers` names wandb, which is not configured",
            hint="set WANDB_API_KEY, or run `wandb login`, or set WANDB_MODE=offline for files only",
        )
    return list(dict.fromkeys([LOCAL, *names]))


class Watcher:
    """Holds the trackers of a run."""

    def __init__(self, trackers: Mapping[str, Tracker], metrics: Path):
        self._trackers = dict(trackers)
        self._metrics = metrics

    @classmethod
    def open(
        cls,
        work_dir: Path,
        *,
        project: str,
        experiment: str,
        names: Sequence[str] | None,
        config: Mapping[str, object],
        resume: bool = True,
        group: str | None = None,
    ) -> Self:
        """Create the trackers of a run.

        Args:
            work_dir: the run's work directory.
            project: `project_name`.
            experiment: `experiment_name`.
            names: the config key `watchers`: None for local, and W&B if it is configured.
            config: the whole config, which is recorded; secrets are masked here.
            resume: continue existing metrics; if not, they are moved aside under a dated name.
            group: the name of a group of runs, such as the trials of a search.

        Raises:
            ConfigError: a tracker is unknown, or it is named but not configured.
        """
        run = RunInfo(work_dir, project, experiment, mask(dict(config)), resume, group)
        trackers = {}
        for name in chosen(names):
            try:
                trackers[name] = import_object(TRACKERS.get(name) or known_trackers()[name])(run)
            except Exception as error:
                _warn(name, error)
        return cls(trackers, work_dir / local.FILE)

    def of(self, pipeline: str, meta_name: str) -> JobWatcher:
        """The watcher of one job."""
        return JobWatcher(self, pipeline, meta_name)

    def start(self, pipeline: str, meta_name: str, config: Mapping[str, object] | None = None) -> None:
        """Start an attempt of a job. Its first value replaces all values of earlier attempts in `query`.

        Args:
            pipeline: the job's pipeline.
            meta_name: the job's name.
            config: its resolved configs, which are recorded; secrets are masked here.
        """
        masked, now = None if config is None else mask(dict(config)), time.time()
        self._each(lambda tracker: tracker.start(pipeline, meta_name, masked, now))

    def watch(self, pipeline: str, meta_name: str, values: Mapping[str, object], step: int | None = None) -> None:
        """Record what a job measured."""
        flat, now = mask(dict(flat_values(values))), time.time()
        if flat:
            whole_step = _whole(step)
            self._each(lambda tracker: tracker.watch(pipeline, meta_name, flat, whole_step, now))

    def forward(
        self, pipeline: str, meta_name: str, values: Mapping[str, object], step: int | None, time: float
    ) -> None:
        """Record what another process has recorded in its own file: flat plain values, secrets masked.

        Args:
            pipeline: the job's pipeline.
            meta_name: the job's name.
            values: its values.
            step: their step.
            time: when they were recorded, in seconds since the epoch.
        """
        self._each(lambda tracker: tracker.watch(pipeline, meta_name, values, step, time))

    def query(self, meta_name: str, pipeline: str | None = None) -> Metrics:
        """The last value of every key that a job's latest attempt watched, read from the disk."""
        return local.last_values(self._metrics, meta_name, pipeline)

    def turn_to(self, iteration: int) -> None:
        """Assign the following records to this iteration, counted from 1."""
        self._each(lambda tracker: tracker.turn_to(iteration))

    def sync(self) -> None:
        """Make all records durable, so that they survive a crash."""
        self._each(lambda tracker: tracker.sync())

    def close(self) -> None:
        """Close all trackers at the end of the run."""
        self._each(lambda tracker: tracker.close())
        self._trackers.clear()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                call(tracker)
            except Exception as error:
                self._trackers.pop(name, None)
                _warn(name, error)


class JobWatcher:
    """The watcher of one job: the `Watching` of `components.base`."""

    def __init__(self, watcher: Watcher, pipeline: str, meta_name: str):
        self._watcher, self._pipeline, self._meta_name = watcher, pipeline, meta_name

    def watch(self, values: Mapping[str, object], step: int | None = None) -> None:
        """Record numbers (nested mappings are flattened with dots) under this job's name."""
        self._watcher.watch(self._pipeline, self._meta_name, values, step)

    def query(self, meta_name: str) -> Metrics:
        """The last values that the job of this name watched: in this pipeline, else in any."""
        return self._watcher.query(meta_name, self._pipeline) or self._watcher.query(meta_name)


def _whole(step: float | None) -> int | None:
    """A step as an integer; None for NaN and infinities, and beyond 62 bits."""
    if step is None or step != step or not abs(step) < 2**62:
        return None
    return int(step)


def _warn(name: str, error: Exception) -> None:
    logger.opt(exception=error).debug("tracker {} failed", name)
    logger.warning("the {} tracker failed and is removed from this run: {}: {}", name, type(error).__name__, error)
