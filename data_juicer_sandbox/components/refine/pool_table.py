"""Data pools, what they hold, and how models trained on them did."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.pools.ranking_metrics import Pools, by_pool, value
from data_juicer_sandbox.components.pools.stats import STATS
from data_juicer_sandbox.components.refine.feedback_table import as_number
from data_juicer_sandbox.errors import JobError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class PoolOf:
    """A pool that is a part of the data by a stat.

    Args:
        place: among all pools.
        rows: how many have the stat.
        low: the least value of the stat.
        high: its greatest value.
        mean: its mean.
    """

    place: int
    rows: int
    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class PoolTable:
    """All pools.

    Args:
        feedback: shape (pools, seeds): the mean over the held-out sets.
        by_stat: the pools that are parts by a stat.
        stats: columns of the rows of one stat's pools, which are all rows, shape (rows,).
    """

    feedback: np.ndarray
    by_stat: dict[str, list[PoolOf]]
    stats: dict[str, np.ndarray]


def read_pools(paths: list[str], scores: list[Any], match_key: str, feedback_key: str, wanted: set[str]) -> PoolTable:
    """Read the pools' stats, and find their feedback.

    A pool belongs to the stat that its folder is called after, as `data_pool_construction` puts them; other pools
    (a control, say) only help to tell the noise.

    Args:
        paths: the pools, rows with `__dj__stats__`.
        scores: mappings that name their pool, each of one seed and held-out set (`seed`, `dataset`).
        match_key: where they name it.
        feedback_key: where the feedback is in them; dots go deeper.
        wanted: the stats to look at.

    Raises:
        JobError: there is no pool of these stats, or a pool lacks scores.
    """
    import numpy as np

    pools = Pools(paths)
    folders = {re.sub(r"[^\w.+-]", "_", stat): stat for stat in sorted(wanted)}
    by_stat: dict[str, list[PoolOf]] = {}
    columns: dict[str, dict[str, list[np.ndarray]]] = {}
    for place, path in enumerate(paths):
        stat = folders.get(Path(path).parent.name)
        if stat is None:
            continue
        read = _columns(path, sorted(wanted))
        own = read[stat][~np.isnan(read[stat])]
        if len(own):
            by_stat.setdefault(stat, []).append(
                PoolOf(place, len(own), float(own.min()), float(own.max()), float(own.mean()))
            )
            for name, column in read.items():
                columns.setdefault(stat, {}).setdefault(name, []).append(column)
    if not by_stat:
        hint = f"their folders are called after the stats: {', '.join(folders) or 'the recipe bounds none'}"
        raise JobError("no pool in pool_paths is a part by a stat that the recipe bounds", hint=hint)
    most = max(columns, key=lambda stat: sum(map(len, columns[stat][stat])))
    feedback = _feedback(pools, scores, match_key, feedback_key)
    return PoolTable(feedback, by_stat, {name: np.concatenate(parts) for name, parts in columns[most].items()})


def _columns(path: str, stats: list[str]) -> dict[str, np.ndarray]:
    import numpy as np

    columns = {stat: array("d") for stat in stats}
    for row in read_rows(path):
        found = row.get(STATS) or {}
        for stat, column in columns.items():
            column.append(as_number(found.get(stat)))
    return {stat: np.asarray(column) for stat, column in columns.items()}


def _feedback(pools: Pools, scores: list[Any], match_key: str, feedback_key: str) -> np.ndarray:
    import numpy as np

    entries = by_pool(pools, scores, match_key)
    matrix: list[list[float]] = []
    first: dict[Any, set[Any]] = {}
    for place, name in enumerate(pools.names):
        seeds: dict[Any, list[dict[str, Any]]] = {}
        for entry in entries.get(place, ()):
            seeds.setdefault(entry.get("seed"), []).append(entry)
        sets = {seed: {entry.get("dataset") for entry in several} for seed, several in seeds.items()}
        first = first or sets
        if not sets:
            raise JobError(f"there is no score of the pool {name}", hint=f"each names its pool at {match_key!r}")
        if sets != first:
            raise JobError(f"the scores of {name} are of other seeds or data sets than those of {pools.names[0]}")
        matrix.append([value(seeds[seed], feedback_key, name) for seed in first])
    return np.asarray(matrix)
