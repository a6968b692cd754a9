"""What a tracker is: a place that metrics go to. And how values are made plain before they go there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunInfo:
    """What a tracker is told about the run it records.

    Args:
        work_dir: the run's work directory; it exists.
        project: the config's `project_name`.
        experiment: the config's `experiment_name`.
        config: the run's config, secrets masked.
        resume: go on with what is there of an earlier run in `work_dir`.
        group: what several runs belong to, such as the trials of a search.
    """

    work_dir: Path
    project: str
    experiment: str
    config: Mapping[str, Any]
    resume: bool
    group: str | None = None


class Tracker:
    """Base of all trackers. A method that raises costs the tracker its place in the run, never the run.

    The constructor must be cheap: a run in which no job runs opens no connection.
    """

    def __init__(self, run: RunInfo):
        self.run = run

    def start(self, pipeline: str, job: str, config: Mapping[str, Any] | None, time: float) -> None:
        """A job begins a new attempt, with this config (masked) where it is known."""

    def watch(self, pipeline: str, job: str, values: Mapping[str, Any], step: int | None, time: float) -> None:
        """Record values: flat, each a plain bool, int, float or string, or None."""

    def turn_to(self, iteration: int) -> None:
        """What follows is of this pass, counted from 1."""

    def sync(self) -> None:
        """Make what was recorded outlast a crash."""

    def close(self) -> None:
        """The run is over."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings and lists as `outer.inner.0`, NumPy and tensor values as plain ones.

    What is no number stays as text, since some tables hold text beside their numbers.
    """
    for key, value in values.items():
        yield from _flat(f"{prefix}{key}", value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from flatten(value, f"{name}.")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _flat(f"{name}.{index}", item)
    elif value is None or type(value) in (bool, int, float, str):
        yield name, value
    elif hasattr(value, "tolist"):  # NumPy scalars and arrays, tensors
        yield from _flat(name, value.tolist())
    elif hasattr(value, "__float__"):
        yield name, float(value)
    else:
        yield name, str(value)


def to_json(value: Any) -> Any:
    """A value as strict JSON can hold it: NaN and the infinities by their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def from_json(value: Any) -> Any:
    """The value that `to_json` was given."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value
