"""`Cut`: a new value of a bound with its statistical evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.refine.bounds import RecipeBound
from data_juicer_sandbox.types import Row

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Cut:
    """The best new value of a bound, accepted or not.

    Args:
        bound: the bound.
        value: its new value.
        keep: mask of the rows it keeps, shape (rows,); rows without the stat are kept.
        gain: mean feedback of the kept rows minus that of all rows, with the sign that makes positive values better.
        low: lower end of the gain's confidence interval.
        high: upper end of the gain's confidence interval.
        effect: mean feedback of the kept rows minus that of the removed ones, in standard deviations of the feedback.
        correlation: Spearman's rank correlation of the stat and the unsigned feedback (for a loss, a negative one means
            that higher stats are better); NaN if one of them is constant.
        over: number of rows, or pools, behind the evidence.
    """

    bound: RecipeBound
    value: float
    keep: np.ndarray
    gain: float
    low: float
    high: float
    effect: float
    correlation: float
    over: int

    @property
    def kept(self) -> float:
        """Fraction of the rows that it keeps."""
        return float(self.keep.mean())

    def describe(self) -> str:
        """The evidence as one line."""
        return (
            f"gain {self.gain:.4g}, between {self.low:.4g} and {self.high:.4g}; effect {self.effect:.3g};"
            f" rank correlation {self.correlation:.3g} with {self.bound.stat}; keeps {self.kept:.1%}"
        )

    def row(self, verdict: str) -> Row:
        """The evidence as a row of a table of plain values.

        Args:
            verdict: `accepted`, or the reason for the rejection.
        """
        return {
            "op": self.bound.op,
            "place": self.bound.index,
            "param": self.bound.param,
            "stat": self.bound.stat,
            "old": self.bound.old,
            "new": int(self.value) if self.bound.integer else self.value,
            "accepted": verdict == ACCEPTED,
            "verdict": verdict,
            "gain": _plain(self.gain),
            "gain_low": _plain(self.low),
            "gain_high": _plain(self.high),
            "effect": _plain(self.effect),
            "rank_correlation": _plain(self.correlation),
            "kept_ratio": self.kept,
            "over": self.over,
        }


ACCEPTED = "accepted"


def _plain(value: float) -> float | None:
    return float(value) if value - value == 0 else None


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; ties get the mean of their ranks, pairs with a NaN are ignored.

    Args:
        first: shape (n,).
        second: shape (n,).
    """
    import numpy as np

    both_present = ~(np.isnan(first) | np.isnan(second))
    ranks = np.stack([_ranks(first[both_present]), _ranks(second[both_present])])
    if both_present.sum() < 2 or not (ranks.std(axis=1) > 0).all():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]
