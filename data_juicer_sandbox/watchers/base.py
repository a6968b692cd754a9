"""`Tracker`: the base class of metric trackers; `flat_values` converts values before they are recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data_juicer_sandbox.imports import Library
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.types import JsonValue, LibraryObject

MAX_INT_BITS = 13_000
"""Some 3,900 decimal digits; Python reads and prints integers of at most 4,300."""


@dataclass(frozen=True)
class RunInfo:
    """The run that a tracker records.

    Args:
        work_dir: the run's work directory; it exists.
        project: the config's `project_name`.
        experiment: the config's `experiment_name`.
        config: the run's config, secrets masked.
        resume: continue the records of an earlier run in `work_dir`.
        group: the name of a group of runs, such as the trials of a search.
    """

    work_dir: Path
    project: str
    experiment: str
    config: Mapping[str, object]
    resume: bool
    group: str | None = None


class Tracker:
    """Base of all trackers. If a method raises, the tracker is removed, and the run continues.

    The constructor must be cheap and open no connection, since a run may have no job to run.

    Attributes:
        requires: the libraries that it needs and that this package does not install by default.
    """

    requires: ClassVar[tuple[Library, ...]] = ()

    def __init__(self, run: RunInfo):
        self.run = run

    def start(self, pipeline: str, job: str, config: Mapping[str, object] | None, time: float) -> None:
        """A job starts a new attempt; `config` is its masked config, if known."""

    def watch(self, pipeline: str, job: str, values: Mapping[str, object], step: int | None, time: float) -> None:
        """Record values: flat, each a plain bool, int, float or string, or None."""

    def turn_to(self, iteration: int) -> None:
        """Assign the following records to this iteration, counted from 1."""

    def sync(self) -> None:
        """Make the records durable, so that they survive a crash."""

    def close(self) -> None:
        """Close the tracker at the end of the run."""


def flat_values(values: Mapping[str, object]) -> Iterator[tuple[str, bool | int | float | str | None]]:
    """Flatten nested mappings and lists to `outer.inner.0`, and convert NumPy and tensor values to plain ones.

    Other objects become text, since some tables contain text beside their numbers.
    """
    for name, value in flatten(values):
        if value is None or type(value) in (bool, int, float, str):
            yield name, value
        elif hasattr(value, "tolist"):  # NumPy scalars and arrays, tensors
            yield from flat_values({name: value.tolist()})
        elif hasattr(value, "__float__"):
            yield name, _as_float(value)
        else:
            yield name, str(value)


def _as_float(value: LibraryObject) -> float | str:
    """The value as a number; as text if it is too large for one, or a decimal that is not a number."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return str(value)


def to_json(value: object) -> JsonValue:
    """Convert a value to strict JSON: NaN and the infinities become strings, and so do integers that Python refuses to
    print.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        return f"an integer of {value.bit_length():,} bits"
    return value


def from_json(value: object) -> JsonValue:
    """The inverse of `to_json`."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value
