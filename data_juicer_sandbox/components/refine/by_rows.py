"""The bounds that a model's feedback on single rows speaks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.refine.bounds import RecipeBound
from data_juicer_sandbox.components.refine.evidence import Cut, spearman
from data_juicer_sandbox.components.refine.feedback_table import FeedbackTable

if TYPE_CHECKING:
    import numpy as np

LEAST_ROWS = 40
_LEAST_GROUP = 5
"""Rows on either side of a cut, in the half that chooses it."""
_RESAMPLES = 2000
_CELLS = 1_000_000
"""Resampled rows held at a time."""
_BEYOND = 25
"""Resamples beyond the end of an interval, so that the end is not a matter of chance."""


def cuts(
    bounds: list[RecipeBound],
    table: FeedbackTable,
    sign: float,
    floor: float,
    confidence: float,
    seed: int,
    job: JobRun,
) -> list[Cut]:
    """The best cut of each bound by one half of the rows, with its gain on the other half.

    The best is the one whose two sides differ most: it leaves the least variance within them, as a regression tree
    splits (Breiman et al. 1984, "Classification and Regression Trees", section 8.4). The interval is a percentile
    bootstrap (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13), simultaneous over all bounds
    by Bonferroni's inequality. Choosing and judging on different rows keeps the best of many cuts from looking better
    than it is.

    Args:
        bounds: those to move.
        table: feedback and stats of the rows.
        sign: 1 where higher feedback is better, -1 where lower is.
        floor: the least share of the rows that a cut keeps.
        confidence: of the interval.
        seed: of the halves and the resamples.
        job: told how far it is.
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
    judged = feedback[judging]
    low, high = _interval(judged, keeps, (1 - confidence) / 2 / len(best), rng, job)
    spread = judged.std(ddof=1)
    found = []
    for place, (bound, value, keep) in enumerate(best):
        kept = keeps[:, place].astype(bool)
        gone = judged[~kept].mean() if not kept.all() else judged[kept].mean()
        found.append(
            Cut(
                bound,
                value,
                keep,
                float(judged[kept].mean() - judged.mean()),
                float(low[place]),
                float(high[place]),
                float((judged[kept].mean() - gone) / spread) if spread else 0.0,
                spearman(table.stats[bound.stat][judging], table.feedback[judging]),
                len(judging),
            )
        )
    return found


def _split(
    bound: RecipeBound, stat: np.ndarray, choosing: np.ndarray, feedback: np.ndarray, floor: float
) -> float | None:
    """The value that parts the better from the worse best; None where nothing on this side is worse."""
    import numpy as np

    column = np.sort(stat[~np.isnan(stat)])
    droppable = int(len(stat) * (1 - floor) + 1e-9)
    if len(column) < LEAST_ROWS or not droppable:
        return None
    turn = 1.0 if bound.side == "min" else -1.0
    values = turn * stat[choosing]
    known = ~np.isnan(values)
    order = np.argsort(values[known], kind="stable")
    values, said = values[known][order], feedback[choosing][known][order]
    # The farthest that a bound may go by the stat alone, over all rows: `droppable` of them lie beyond it, at most.
    farthest = np.sort(turn * column)[min(droppable, len(column) - 1)]
    gone = np.arange(1, len(values))
    sums = np.cumsum(said)[:-1]
    worse = sums / gone
    better = (said.sum() - sums) / (len(values) - gone)
    parted = gone * (len(values) - gone) * (better - worse) ** 2
    allowed = (values[1:] > values[:-1]) & (values[1:] <= farthest) & (better > worse)
    allowed &= (gone >= _LEAST_GROUP) & (len(values) - gone >= _LEAST_GROUP)
    if not allowed.any():
        return None
    first_kept = values[1:][np.argmax(np.where(allowed, parted, -1.0))]
    value = float(bound.rounded(float(turn * first_kept), float(column[0]), float(column[-1])))
    beyond = (stat < value) if bound.side == "min" else (stat > value)
    return value if beyond.any() else None


def _interval(
    judged: np.ndarray, keeps: np.ndarray, tail: float, rng: np.random.Generator, job: JobRun
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of each gain's interval, shape (cuts,), by resampling rows."""
    import numpy as np

    resamples = max(_RESAMPLES, round(_BEYOND / tail))
    rows, held = len(judged), max(1, _CELLS // len(judged))
    gains = np.empty((resamples, keeps.shape[1]))
    with job.progress.task("bootstrap", total=resamples) as task:
        for start in range(0, resamples, held):
            number = min(held, resamples - start)
            drawn = rng.integers(rows, size=(number, rows)) + np.arange(number)[:, None] * rows
            weight = np.bincount(drawn.ravel(), minlength=number * rows).reshape(number, rows).astype(float)
            weighted = weight * judged
            kept = (weighted @ keeps) / np.maximum(weight @ keeps, 1.0)
            gains[start : start + number] = kept - weighted.mean(axis=1, keepdims=True)
            task.advance(number)
    low, high = np.quantile(gains, [tail, 1 - tail], axis=0)
    return low, high
