"""`PoolTable`: stats of data pools and the scores of models trained on them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.pools.ranking_metrics import Pools, by_pool, value
from data_juicer_sandbox.components.pools.stats import STATS, stat_folder, stat_value
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import JsonValue, Metrics

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class StatPool:
    """A pool of rows in one range of a stat.

    Args:
        index: its index among all pools.
        rows: number of rows that have the stat.
        low: the smallest value of the stat.
        high: the greatest value of the stat.
        mean: the mean of the stat.
    """

    index: int
    rows: int
    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class PoolTable:
    """All pools.

    Args:
        feedback: shape (pools, seeds): the mean over the held-out sets.
        by_stat: the pools of each stat.
        stats: columns of stats, shape (rows,), from the pools of one stat, which together contain all rows.
    """

    feedback: np.ndarray
    by_stat: dict[str, list[StatPool]]
    stats: dict[str, np.ndarray]


def read_pools(
    paths: list[str], scores: list[JsonValue], match_key: str, feedback_key: str, stats: set[str]
) -> PoolTable:
    """Read the stats of pools and match the scores to them.

    A pool belongs to the stat that its folder is named after, as `data_pool_construction` writes them; other pools,
    such as a control, only help to estimate the noise.

    Args:
        paths: the pools, rows with `__dj__stats__`.
        scores: mappings that name their pool, each of one seed and held-out set (`seed`, `dataset`).
        match_key: the key of the pool's name in them.
        feedback_key: the key of the feedback in them; dots separate nested keys.
        stats: the stats to read.

    Raises:
        JobError: no pool belongs to these stats, or a pool lacks scores.
    """
    import numpy as np

    pools = Pools(paths)
    folders = {stat_folder(stat): stat for stat in sorted(stats)}
    by_stat: dict[str, list[StatPool]] = {}
    columns: dict[str, dict[str, list[np.ndarray]]] = {}
    for index, path in enumerate(paths):
        stat = folders.get(Path(path).parent.name)
        if stat is None:
            continue
        pool_columns = _columns(path, sorted(stats))
        stat_values = pool_columns[stat][~np.isnan(pool_columns[stat])]
        if len(stat_values):
            by_stat.setdefault(stat, []).append(
                StatPool(
                    index,
                    len(stat_values),
                    float(stat_values.min()),
                    float(stat_values.max()),
                    float(stat_values.mean()),
                )
            )
            for name, column in pool_columns.items():
                columns.setdefault(stat, {}).setdefault(name, []).append(column)
    if not by_stat:
        hint = f"their folders are named after the stats: {', '.join(folders) or 'the recipe bounds none'}"
        raise JobError("no pool in pool_paths belongs to a stat that the recipe bounds", hint=hint)
    longest = max(columns, key=lambda stat: sum(map(len, columns[stat][stat])))
    feedback = _feedback(pools, scores, match_key, feedback_key)
    return PoolTable(feedback, by_stat, {name: np.concatenate(parts) for name, parts in columns[longest].items()})


def _columns(path: str, stats: list[str]) -> dict[str, np.ndarray]:
    import numpy as np

    columns = {stat: array("d") for stat in stats}
    for row in read_rows(path):
        row_stats = row.get(STATS) or {}
        for stat, column in columns.items():
            column.append(stat_value(row_stats.get(stat)))
    return {stat: np.asarray(column) for stat, column in columns.items()}


def _feedback(pools: Pools, scores: list[JsonValue], match_key: str, feedback_key: str) -> np.ndarray:
    import numpy as np

    entries = by_pool(pools, scores, match_key)
    matrix: list[list[float]] = []
    expected: dict[JsonValue, set[JsonValue]] = {}
    for index, name in enumerate(pools.names):
        seeds: dict[JsonValue, list[Metrics]] = {}
        for entry in entries.get(index, ()):
            seeds.setdefault(entry.get("seed"), []).append(entry)
        sets = {seed: {entry.get("dataset") for entry in seed_entries} for seed, seed_entries in seeds.items()}
        expected = expected or sets
        if not sets:
            raise JobError(f"the pool {name} has no score", hint=f"each score names its pool at {match_key!r}")
        if sets != expected:
            raise JobError(f"the scores of {name} have other seeds or data sets than those of {pools.names[0]}")
        matrix.append([value(seeds[seed], feedback_key, name) for seed in expected])
    return np.asarray(matrix)
