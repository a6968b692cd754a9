"""The bounds that models trained on data pools speak for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.refine.bounds import RecipeBound
from data_juicer_sandbox.components.refine.evidence import Cut, spearman
from data_juicer_sandbox.components.refine.pool_table import PoolTable

if TYPE_CHECKING:
    import numpy as np

_RESAMPLES = 20_000
LEAST_POOLS = 4


@dataclass(frozen=True)
class _Candidate:
    """A cut between two neighbouring pools of a stat.

    Args:
        bound: the bound.
        value: its value there.
        weights: shape (pools,): by which the pools' feedback makes the gain; they sum to 0.
        contrast: likewise the kept pools' mean less that of those that go.
        rows: of the smaller and the larger side, their harmonic weight: how much the cut parts.
    """

    bound: RecipeBound
    value: float
    weights: np.ndarray
    contrast: np.ndarray
    rows: float


def cuts(
    bounds: list[RecipeBound], table: PoolTable, sign: float, floor: float, confidence: float, seed: int
) -> list[Cut]:
    """The best cut of each bound between neighbouring pools of its stat.

    Pools are taken to be as good together as their mean by rows: the gain of a cut is the mean feedback of the pools
    that it keeps less that of all pools of the stat. Of several cuts the one whose two sides differ most counts.

    A pool's feedback is its mean over seeds and held-out sets. The noise is what the cut does not explain of how all
    pools differ: seeds, the draw of the rows, and other stats too, which is on the safe side. The interval is gain plus
    and minus q standard errors; q is what the largest of all studentised gains stays below where pools differ by normal
    noise alone (a parametric bootstrap: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 6.5; the
    largest of all: Westfall and Young 1993, "Resampling-Based Multiple Testing", section 2.3), so that the best of many
    is not taken for better than it is.

    Args:
        bounds: those to move.
        table: the pools.
        sign: 1 where higher feedback is better, -1 where lower is.
        floor: the least share of the rows that a cut keeps.
        confidence: of the interval.
        seed: of the resamples.
    """
    import numpy as np

    feedback = sign * table.feedback
    candidates = [one for bound in bounds for one in _candidates(bound, table, floor)]
    if not candidates:
        return []
    weights = np.stack([one.weights for one in candidates], axis=1)
    means = feedback.mean(axis=1)
    gains, errors = _studentise(means[None], weights)
    width = _largest(weights, confidence, seed) * errors[0]
    best: dict[RecipeBound, tuple[float, Cut]] = {}
    for one, gain, half in zip(candidates, gains[0], width, strict=True):
        between = float(one.contrast @ means)
        parted = one.rows * between**2
        if between <= 0 or (one.bound in best and parted <= best[one.bound][0]):
            continue
        column, pools = table.stats[one.bound.stat], table.by_stat[one.bound.stat]
        keep = ~(column < one.value) if one.bound.side == "min" else ~(column > one.value)
        effect = between / float(feedback.std(ddof=1)) if feedback.std() > 0 else 0.0
        centres = np.asarray([pool.mean for pool in pools])
        correlation = spearman(centres, sign * means[[pool.place for pool in pools]])
        cut = Cut(
            one.bound, one.value, keep, float(gain), float(gain - half), float(gain + half), effect, correlation,
            len(pools),
        )  # fmt: skip
        best[one.bound] = (parted, cut)
    return [cut for _, cut in best.values()]


def _candidates(bound: RecipeBound, table: PoolTable, floor: float) -> list[_Candidate]:
    import numpy as np

    pools = sorted(table.by_stat.get(bound.stat, ()), key=lambda pool: pool.mean)
    total = sum(pool.rows for pool in pools)
    found = []
    for place in range(1, len(pools)):
        kept, gone = (pools[place:], pools[:place]) if bound.side == "min" else (pools[:place], pools[place:])
        rows = sum(pool.rows for pool in kept)
        if rows < floor * total - 1e-9:
            continue
        wished = min(pool.low for pool in kept) if bound.side == "min" else max(pool.high for pool in kept)
        lowest, highest = min(pool.low for pool in pools), max(pool.high for pool in pools)
        weights, contrast = np.zeros(len(table.feedback)), np.zeros(len(table.feedback))
        for pool in kept:
            weights[pool.place] = pool.rows / rows - pool.rows / total
            contrast[pool.place] = pool.rows / rows
        for pool in gone:
            weights[pool.place] = -pool.rows / total
            contrast[pool.place] = -pool.rows / (total - rows)
        value = float(bound.rounded(wished, lowest, highest))
        found.append(_Candidate(bound, value, weights, contrast, rows * (total - rows) / total))
    return found


def _studentise(means: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gains and their standard errors, both of shape (resamples, cuts).

    Args:
        means: of the pools, shape (resamples, pools).
        weights: of the cuts, shape (pools, cuts).
    """
    import numpy as np

    size = (weights**2).sum(axis=0)
    gains = means @ weights
    around = means - means.mean(axis=1, keepdims=True)
    unexplained = (around**2).sum(axis=1, keepdims=True) - gains**2 / size
    return gains, np.sqrt(np.maximum(unexplained, 0.0) / (means.shape[1] - 2) * size)


def _largest(weights: np.ndarray, confidence: float, seed: int) -> float:
    """What the largest of all studentised gains stays below, at that confidence, where cuts make no difference."""
    import numpy as np

    noise = np.random.default_rng(seed).normal(size=(_RESAMPLES, len(weights)))
    gains, errors = _studentise(noise, weights)
    return float(np.quantile((np.abs(gains) / errors).max(axis=1), confidence))
