"""Distribution of a data set's scores, in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from data_juicer_sandbox.types import Metrics

_BINS = 10_000
"""Number of bins between 0 and 1 for the quantiles."""


@dataclass
class Distribution:
    """Accumulates statistics of scores between 0 and 1."""

    rows: int = 0
    kept: int = 0
    least: float = math.inf
    most: float = -math.inf
    _mean: float = 0.0
    _squares: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (_BINS + 1))

    def add(self, score: float, kept: bool) -> None:
        """Add a score (Welford's method)."""
        self.rows += 1
        self.kept += kept
        self.least, self.most = min(self.least, score), max(self.most, score)
        difference = score - self._mean
        self._mean += difference / self.rows
        self._squares += difference * (score - self._mean)
        self._counts[int(score * _BINS)] += 1

    def summary(self) -> Metrics:
        """Mean, standard deviation (of the population), extremes, quantiles to 1/10,000, and ten equal bins."""
        tenth = _BINS // 10
        bins = [sum(self._counts[start : start + tenth]) for start in range(0, _BINS, tenth)]
        bins[-1] += self._counts[_BINS]
        return {
            "mean": self._mean,
            "std": math.sqrt(self._squares / self.rows),
            "min": self.least,
            **{f"p{part:02}": self._quantile(part / 100) for part in (5, 25, 50, 75, 95)},
            "max": self.most,
            "histogram": bins,
            "rows": self.rows,
        }

    def _quantile(self, part: float) -> float:
        target, cumulative = part * self.rows, 0
        for index, count in enumerate(self._counts):
            cumulative += count
            if cumulative >= target and count:
                return min(max((index + 0.5) / _BINS, self.least), self.most)
        return self.most
