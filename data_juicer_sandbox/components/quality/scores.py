"""What a data set's scores come to, without keeping them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

_FINE = 10_000
"""Parts that 0 to 1 is cut into for the quantiles."""


@dataclass
class Distribution:
    """Counts scores between 0 and 1 as they go by."""

    rows: int = 0
    kept: int = 0
    least: float = math.inf
    most: float = -math.inf
    _mean: float = 0.0
    _squares: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (_FINE + 1))

    def add(self, score: float, kept: bool) -> None:
        """Count one (Welford's method)."""
        self.rows += 1
        self.kept += kept
        self.least, self.most = min(self.least, score), max(self.most, score)
        difference = score - self._mean
        self._mean += difference / self.rows
        self._squares += difference * (score - self._mean)
        self._counts[int(score * _FINE)] += 1

    def summary(self) -> dict[str, Any]:
        """Mean, standard deviation (of the population), extremes, quantiles to 1/10,000, and ten equal bins."""
        tenth = _FINE // 10
        bins = [sum(self._counts[start : start + tenth]) for start in range(0, _FINE, tenth)]
        bins[-1] += self._counts[_FINE]
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
        wanted, passed = part * self.rows, 0
        for place, count in enumerate(self._counts):
            passed += count
            if passed >= wanted and count:
                return min(max((place + 0.5) / _FINE, self.least), self.most)
        return self.most
