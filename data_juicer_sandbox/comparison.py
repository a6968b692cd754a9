"""Comparison of two groups of repeated measurements: the change of the mean, with a confidence interval."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

Repeats = Mapping[Hashable, float]
"""The measurements of a group by what distinguishes them, such as the seed."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """How much a group differs from a reference.

    Args:
        change: mean of the group minus mean of the reference.
        low: lower end of the confidence interval of the change; None if it cannot be computed.
        high: upper end.
        n: number of measurements in the smaller group.
    """

    change: float
    low: float | None
    high: float | None
    n: int

    @property
    def is_certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def verdict(self, greater_is_better: bool) -> str:
        """`better`, `worse`, or `not proven`."""
        if not self.is_certain:
            return "not proven"
        return "better" if (self.change > 0) == greater_is_better else "worse"


def compare(group: Repeats, reference: Repeats, comparisons: int = 1) -> Comparison:
    """Compare two groups, paired where both have the same keys, else by Welch's test.

    The interval covers the true change with a confidence of 95%, for all comparisons together (Bonferroni).

    Args:
        group: the measurements of the group.
        reference: those of the reference.
        comparisons: the number of comparisons that are made together.
    """
    n = min(len(group), len(reference))
    try:
        change = fmean(group.values()) - fmean(reference.values())
        half_width = _half_width(group, reference, comparisons) if n > 1 else None
    except OverflowError:  # numbers near the largest float
        return Comparison(math.nan, None, None, n)
    if half_width is None or not math.isfinite(half_width):
        return Comparison(change, None, None, n)
    return Comparison(change, change - half_width, change + half_width, n)


def _half_width(group: Repeats, reference: Repeats, comparisons: int) -> float:
    """Half the width of the interval."""
    n = min(len(group), len(reference))
    if set(group) == set(reference):
        differences = [group[key] - reference[key] for key in group]
        error, degrees = stdev(differences) / math.sqrt(n), float(n - 1)
    else:
        parts = [stdev(repeats.values()) ** 2 / len(repeats) for repeats in (group, reference)]
        error = math.sqrt(sum(parts))
        weights = [part**2 / (len(repeats) - 1) for part, repeats in zip(parts, (group, reference), strict=True)]
        degrees = sum(parts) ** 2 / sum(weights) if sum(weights) else float(n - 1)
    return t_quantile(1 - (1 - CONFIDENCE) / (2 * comparisons), degrees) * error


def t_quantile(probability: float, degrees: float) -> float:
    """The quantile of Student's t distribution, to about 10 digits.

    Args:
        probability: above 0.5 and below 1.
        degrees: the degrees of freedom.
    """
    low, high = 0.0, 1.0
    while _t_cdf(high, degrees) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _t_cdf(value: float, degrees: float) -> float:
    """The distribution function of Student's t for a value of 0 or more."""
    return 1 - _incomplete_beta(degrees / (degrees + value * value), degrees / 2, 0.5) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function by its continued fraction (Press et al. 2007, section 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d or tiny)
            c = 1 + numerator / c or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction / a
