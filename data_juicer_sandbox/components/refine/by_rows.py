"""New bounds derived from a model's feedback on single rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.refine.bounds import RecipeBound
from data_juicer_sandbox.components.refine.evidence import Cut, spearman
from data_juicer_sandbox.components.refine.feedback_table import FeedbackTable

if TYPE_CHECKING:
    import numpy as np

MIN_ROWS = 40
_MIN_GROUP = 5
"""Smallest number of rows on either side of a cut, in the half that chooses it."""
_RESAMPLES = 2000
_CELLS = 1_000_000
"""Number of resampled rows in memory at a time."""
_BEYOND = 25
"""Expected number of resamples beyond each end of an interval, so that the ends are stable."""


def cuts(
    bounds: list[RecipeBound],
    table: FeedbackTable,
    sign: float,
    floor: float,
    confidence: float,
    seed: int,
    job: JobRun,
) -> list[Cut]:
    """The best cut of each bound, chosen on one half of the rows, with its gain on the other half.

    The best cut minimizes the variance within its two sides, as a split of a regression tree does (Breiman et al. 1984,
    "Classification and Regression Trees", section 8.4). The interval is a percentile bootstrap (Efron and Tibshirani
    1993, "An Introduction to the Bootstrap", chapter 13), simultaneous over all bounds by Bonferroni's inequality.
    Choosing and evaluating on different rows avoids the optimistic bias of the best of many cuts.

    Args:
        bounds: the bounds to change.
        table: feedback and stats of the rows.
        sign: 1 if higher feedback is better, -1 if lower is.
        floor: the smallest fraction of the rows that a cut may keep.
        confidence: the confidence level of the intervals.
        seed: seed of the halves and the resamples.
        job: shows the progress.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    feedback = sign * table.feedback
    order = rng.permutation(len(feedback))
    choosing, judging = order[: len(order) // 2], order[len(order) // 2 :]
    best: list[tuple[RecipeBound, float, np.ndarray]] = []
    for bound in bounds:
        stat = table.stats[bound.stat]
        value = _split(bound, stat, choosing, feedback, floor)
        if value is not None:
            keep = ~(stat < value) if bound.side == "min" else ~(stat > value)  # NaN compares false, so it is kept
            best.append((bound, value, keep))
    if not best:
        return []
    keeps = np.stack([keep[judging] for _, _, keep in best], axis=1).astype(float)
    judging_feedback = feedback[judging]
    low, high = _interval(judging_feedback, keeps, (1 - confidence) / 2 / len(best), rng, job)
    spread = judging_feedback.std(ddof=1)
    cuts = []
    for index, (bound, value, keep) in enumerate(best):
        kept = keeps[:, index].astype(bool)
        removed_mean = judging_feedback[~kept].mean() if not kept.all() else judging_feedback[kept].mean()
        cuts.append(
            Cut(
                bound,
                value,
                keep,
                float(judging_feedback[kept].mean() - judging_feedback.mean()),
                float(low[index]),
                float(high[index]),
                float((judging_feedback[kept].mean() - removed_mean) / spread) if spread else 0.0,
                spearman(table.stats[bound.stat][judging], table.feedback[judging]),
                len(judging),
            )
        )
    return cuts


def _split(
    bound: RecipeBound, stat: np.ndarray, choosing: np.ndarray, feedback: np.ndarray, floor: float
) -> float | None:
    """The best value to separate worse rows on the bound's side from better ones; None if no rows there are worse."""
    import numpy as np

    column = np.sort(stat[~np.isnan(stat)])
    droppable = int(len(stat) * (1 - floor) + 1e-9)
    if len(column) < MIN_ROWS or not droppable:
        return None
    sign = 1.0 if bound.side == "min" else -1.0
    values = sign * stat[choosing]
    has_value = ~np.isnan(values)
    order = np.argsort(values[has_value], kind="stable")
    values, feedback_sorted = values[has_value][order], feedback[choosing][has_value][order]
    # The most extreme value allowed for the bound: over all rows, at most `droppable` rows lie beyond it.
    farthest = np.sort(sign * column)[min(droppable, len(column) - 1)]
    n_removed = np.arange(1, len(values))
    sums = np.cumsum(feedback_sorted)[:-1]
    worse = sums / n_removed
    better = (feedback_sorted.sum() - sums) / (len(values) - n_removed)
    separation = n_removed * (len(values) - n_removed) * (better - worse) ** 2
    allowed = (values[1:] > values[:-1]) & (values[1:] <= farthest) & (better > worse)
    allowed &= (n_removed >= _MIN_GROUP) & (len(values) - n_removed >= _MIN_GROUP)
    if not allowed.any():
        return None
    first_kept = values[1:][np.argmax(np.where(allowed, separation, -1.0))]
    value = float(bound.rounded(float(sign * first_kept), float(column[0]), float(column[-1])))
    beyond = (stat < value) if bound.side == "min" else (stat > value)
    return value if beyond.any() else None


def _interval(
    judging_feedback: np.ndarray, keeps: np.ndarray, tail: float, rng: np.random.Generator, job: JobRun
) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper ends of the gains' intervals, shape (cuts,), by resampling rows."""
    import numpy as np

    resamples = max(_RESAMPLES, round(_BEYOND / tail))
    rows, chunk_size = len(judging_feedback), max(1, _CELLS // len(judging_feedback))
    gains = np.empty((resamples, keeps.shape[1]))
    with job.progress.task("bootstrap", total=resamples) as task:
        for start in range(0, resamples, chunk_size):
            chunk_rows = min(chunk_size, resamples - start)
            drawn = rng.integers(rows, size=(chunk_rows, rows)) + np.arange(chunk_rows)[:, None] * rows
            weight = np.bincount(drawn.ravel(), minlength=chunk_rows * rows).reshape(chunk_rows, rows).astype(float)
            weighted = weight * judging_feedback
            kept = (weighted @ keeps) / np.maximum(weight @ keeps, 1.0)
            gains[start : start + chunk_rows] = kept - weighted.mean(axis=1, keepdims=True)
            task.advance(chunk_rows)
    low, high = np.quantile(gains, [tail, 1 - tail], axis=0)
    return low, high
