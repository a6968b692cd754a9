"""New bounds derived from the results of models trained on data pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.refine.bounds import RecipeBound
from data_juicer_sandbox.components.refine.evidence import Cut, spearman
from data_juicer_sandbox.components.refine.pool_table import PoolTable

if TYPE_CHECKING:
    import numpy as np

_RESAMPLES = 20_000
MIN_POOLS = 4


@dataclass(frozen=True)
class _Candidate:
    """A cut between two neighbouring pools of a stat.

    Args:
        bound: the bound.
        value: its value at the cut.
        weights: shape (pools,): weights of the pools' feedback that give the gain; they sum to 0.
        contrast: shape (pools,): weights that give the mean of the kept pools minus that of the removed ones.
        rows: kept times removed rows by total rows, the weight of the cut's squared difference.
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

    The feedback of several pools together is assumed to be their mean weighted by rows: the gain of a cut is the mean
    feedback of the pools that it keeps minus that of all pools of the stat. The best cut of a bound is the one whose
    two sides differ most.

    A pool's feedback is its mean over seeds and held-out sets. The noise is the part of the pools' variance that the
    cut does not explain: seeds, the draw of the rows, and also other stats, which makes it conservative. The interval
    is gain plus and minus q standard errors; q is the quantile, at the confidence, of the largest studentised gain if
    pools differ by normal noise only (a parametric bootstrap: Efron and Tibshirani 1993, "An Introduction to the
    Bootstrap", section 6.5; of the maximum: Westfall and Young 1993, "Resampling-Based Multiple Testing", section 2.3).
    This corrects for choosing the best of many cuts.

    Args:
        bounds: the bounds to change.
        table: the pools.
        sign: 1 if higher feedback is better, -1 if lower is.
        floor: the smallest fraction of the rows that a cut may keep.
        confidence: the confidence level of the intervals.
        seed: seed of the resamples.
    """
    import numpy as np

    feedback = sign * table.feedback
    candidates = [candidate for bound in bounds for candidate in _candidates(bound, table, floor)]
    if not candidates:
        return []
    weights = np.stack([candidate.weights for candidate in candidates], axis=1)
    means = feedback.mean(axis=1)
    gains, errors = _studentise(means[None], weights)
    half_widths = _critical_value(weights, confidence, seed) * errors[0]
    best: dict[RecipeBound, tuple[float, Cut]] = {}
    for candidate, gain, half_width in zip(candidates, gains[0], half_widths, strict=True):
        side_difference = float(candidate.contrast @ means)
        separation = candidate.rows * side_difference**2
        if side_difference <= 0 or (candidate.bound in best and separation <= best[candidate.bound][0]):
            continue
        column, pools = table.stats[candidate.bound.stat], table.by_stat[candidate.bound.stat]
        keep = ~(column < candidate.value) if candidate.bound.side == "min" else ~(column > candidate.value)
        effect = side_difference / float(feedback.std(ddof=1)) if feedback.std() > 0 else 0.0
        centres = np.asarray([pool.mean for pool in pools])
        correlation = spearman(centres, sign * means[[pool.index for pool in pools]])
        cut = Cut(
            candidate.bound,
            candidate.value,
            keep,
            float(gain),
            float(gain - half_width),
            float(gain + half_width),
            effect,
            correlation,
            len(pools),
        )
        best[candidate.bound] = (separation, cut)
    return [cut for _, cut in best.values()]


def _candidates(bound: RecipeBound, table: PoolTable, floor: float) -> list[_Candidate]:
    import numpy as np

    pools = sorted(table.by_stat.get(bound.stat, ()), key=lambda pool: pool.mean)
    total = sum(pool.rows for pool in pools)
    candidates = []
    for split_index in range(1, len(pools)):
        kept_pools, removed_pools = (
            (pools[split_index:], pools[:split_index])
            if bound.side == "min"
            else (pools[:split_index], pools[split_index:])
        )
        rows = sum(pool.rows for pool in kept_pools)
        if rows < floor * total - 1e-9:
            continue
        raw_value = (
            min(pool.low for pool in kept_pools) if bound.side == "min" else max(pool.high for pool in kept_pools)
        )
        lowest, highest = min(pool.low for pool in pools), max(pool.high for pool in pools)
        weights, contrast = np.zeros(len(table.feedback)), np.zeros(len(table.feedback))
        for pool in kept_pools:
            weights[pool.index] = pool.rows / rows - pool.rows / total
            contrast[pool.index] = pool.rows / rows
        for pool in removed_pools:
            weights[pool.index] = -pool.rows / total
            contrast[pool.index] = -pool.rows / (total - rows)
        value = float(bound.rounded(raw_value, lowest, highest))
        candidates.append(_Candidate(bound, value, weights, contrast, rows * (total - rows) / total))
    return candidates


def _studentise(means: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gains and their standard errors, both of shape (resamples, cuts).

    Args:
        means: means of the pools, shape (resamples, pools).
        weights: weights of the cuts, shape (pools, cuts).
    """
    import numpy as np

    squared_norms = (weights**2).sum(axis=0)
    gains = means @ weights
    centred = means - means.mean(axis=1, keepdims=True)
    residual = (centred**2).sum(axis=1, keepdims=True) - gains**2 / squared_norms
    return gains, np.sqrt(np.maximum(residual, 0.0) / (means.shape[1] - 2) * squared_norms)


def _critical_value(weights: np.ndarray, confidence: float, seed: int) -> float:
    """The quantile, at the confidence, of the largest studentised gain under the null hypothesis of equal pools."""
    import numpy as np

    noise = np.random.default_rng(seed).normal(size=(_RESAMPLES, len(weights)))
    gains, errors = _studentise(noise, weights)
    return float(np.quantile((np.abs(gains) / errors).max(axis=1), confidence))
