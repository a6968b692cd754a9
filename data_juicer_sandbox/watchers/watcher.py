"""The watcher: takes metrics and configs from the jobs and hands them to the trackers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.plugins import import_object, plugins
from data_juicer_sandbox.secrets import mask, shown
from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.watchers.base import RunInfo, Tracker, flatten
from data_juicer_sandbox.watchers.wandb import configured

if TYPE_CHECKING:
    from typing_extensions import Self

LOCAL = "local"
TRACKERS = {
    LOCAL: "data_juicer_sandbox.watchers.local:LocalTracker",
    "wandb": "data_juicer_sandbox.watchers.wandb:WandbTracker",
}


def known_trackers() -> dict[str, str]:
    """All trackers by name, those of plug-ins (`data_juicer_sandbox.watchers`) included, as `module:Class`."""
    return {**plugins("watchers"), **TRACKERS}


def chosen(names: Sequence[str] | None) -> list[str]:
    """The trackers that the config key `watchers` stands for; `local` is always among them.

    Raises:
        ConfigError: there is no such tracker.
    """
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
        config: Mapping[str, Any],
        resume: bool = True,
        group: str | None = None,
    ) -> Self:
        """Make the trackers of a run.

        Args:
            work_dir: the run's work directory.
            project: `project_name`.
            experiment: `experiment_name`.
            names: the config key `watchers`: None for local, and W&B where it is configured.
            config: the whole config, for the record; secrets are masked here.
            resume: go on with the metrics that are there; if not, they are moved aside under a dated name.
            group: what several runs belong to, such as the trials of a search.

        Raises:
            ConfigError: unknown tracker, or one that is named but not configured.
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
        """What a job is handed."""
        return JobWatcher(self, pipeline, meta_name)

    def start(self, pipeline: str, meta_name: str, config: Mapping[str, Any] | None = None) -> None:
        """A job begins an attempt; what an earlier one watched is history from its first value on.

        Args:
            pipeline: the job's pipeline.
            meta_name: the job's name.
            config: its resolved configs, for the record; secrets are masked here.
        """
        masked, now = None if config is None else mask(dict(config)), time.time()
        self._each(lambda tracker: tracker.start(pipeline, meta_name, masked, now))

    def watch(self, pipeline: str, meta_name: str, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record what a job measured."""
        flat, now = mask(dict(flatten(values))), time.time()
        if flat:
            self._each(
                lambda tracker: tracker.watch(pipeline, meta_name, flat, None if step is None else int(step), now)
            )

    def query(self, meta_name: str, pipeline: str | None = None) -> dict[str, Any]:
        """The last value of every key that a job's latest attempt watched; after a resume too, for it is on disk."""
        return local.last_values(self._metrics, meta_name, pipeline)

    def turn_to(self, iteration: int) -> None:
        """What follows is of this pass, counted from 1."""
        self._each(lambda tracker: tracker.turn_to(iteration))

    def sync(self) -> None:
        """Make all that was recorded outlast a crash."""
        self._each(lambda tracker: tracker.sync())

    def close(self) -> None:
        """The run is over."""
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
    """A job's view of the watcher: the `Watching` of `components.base`."""

    def __init__(self, watcher: Watcher, pipeline: str, meta_name: str):
        self._watcher, self._pipeline, self._meta_name = watcher, pipeline, meta_name

    def watch(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record numbers (nested mappings are flattened with dots) under this job's name."""
        self._watcher.watch(self._pipeline, self._meta_name, values, step)

    def query(self, meta_name: str) -> dict[str, Any]:
        """What the job of this name watched last: one of this pipeline, or else of any."""
        return self._watcher.query(meta_name, self._pipeline) or self._watcher.query(meta_name)


def _warn(name: str, error: Exception) -> None:
    logger.opt(exception=error).debug("tracker {} failed", name)
    logger.warning("the {} tracker failed and is left out of this run: {}: {}", name, type(error).__name__, error)
