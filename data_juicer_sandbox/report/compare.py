"""Comparison of runs: their metrics, and where their configs differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.report import html
from data_juicer_sandbox.report.data import RunData, read_run

Rows = list[list[object]]


@dataclass(frozen=True)
class Comparison:
    """Tables whose columns are runs."""

    names: list[str]
    metrics: Rows
    """Name, then the last value in each run; None where a run has none."""
    configs: Rows
    """Key, then its value in each run; only keys that differ."""
    faults: list[str] = field(default_factory=list)
    """What could not be read of the runs, one sentence each."""


def compare(work_dirs: Sequence[Path], pattern: str = "*") -> Comparison:
    """Compare runs.

    Args:
        work_dirs: their work directories.
        pattern: which metrics, with `*` and `?`, such as `*.loss`.

    Raises:
        WorkDirError: no run has worked in one of them.
    """
    runs = [read_run(Path(folder)) for folder in work_dirs]
    values = [_values(run) for run in runs]
    configs = [dict(flatten(run.config)) for run in runs]
    metrics = [row for row in _side_by_side(values) if fnmatchcase(str(row[0]), pattern)]
    differing = [row for row in _side_by_side(configs) if len(set(map(repr, row[1:]))) > 1]
    names = _names(runs)
    faults = [f"{name}: {fault}" for name, run in zip(names, runs, strict=True) for fault in run.faults]
    return Comparison(names, metrics, differing, faults)


def render(comparison: Comparison) -> str:
    """The comparison as a page."""
    parts = ["<h1>Comparison of runs</h1>", *html.faults(comparison.faults), "<h2>Metrics</h2>"]
    parts.append(html.table(["metric", *comparison.names], comparison.metrics))
    parts += ["<h2>Configs</h2>", '<p class="dim">Only keys that differ.</p>']
    parts.append(html.table(["key", *comparison.names], comparison.configs))
    return html.page("Comparison of runs", parts)


def _values(run: RunData) -> dict[str, object]:
    return {f"{job.label}.{key}": value for job in run.measured for key, value in job.last.items()}


def _side_by_side(columns: Sequence[dict[str, object]]) -> Rows:
    keys = dict.fromkeys(key for column in columns for key in column)
    return [[key, *(column.get(key) for column in columns)] for key in keys]


def _names(runs: Sequence[RunData]) -> list[str]:
    """Short names that tell the runs apart: the folder's, or its whole path where two are the same."""
    short = [run.work_dir.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.work_dir) for run in runs]
