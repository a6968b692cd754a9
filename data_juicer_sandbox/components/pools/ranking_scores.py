"""Scores that combine several metrics into one order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from statistics import mean, pvariance

Table = Sequence[Sequence[float]]
"""One row per pool, one column per key; all values are finite."""
Scored = tuple[list[tuple[float, ...]], list[float]]
"""The sort key of each pool, in ascending order, and the score that is reported for it."""


def order(
    values: Table, changes: Table | None, greater_is_better: Sequence[bool], aggregate: str
) -> list[tuple[int, float]]:
    """The pools' row indices in `values` with their scores, best first; equal pools keep their order.

    Args:
        values: the metrics.
        changes: the relative changes against the baseline, in the same shape; None without a baseline.
        greater_is_better: one boolean per key.
        aggregate: a key of `AGGREGATES`.
    """
    signs = [1 if greater else -1 for greater in greater_is_better]
    keys, scores = AGGREGATES[aggregate](values, changes, signs)
    return [(index, scores[index]) for index in sorted(range(len(values)), key=keys.__getitem__)]


def relative_change(value: float, base: float) -> float:
    """(value - base) / |base|; not finite if it overflows. `base` must not be 0."""
    return (value - base) / abs(base)


def ranks(column: Sequence[float], sign: int) -> list[float]:
    """The rank of each value, 1 for the best; equal values share the mean of their ranks."""
    in_order = sorted(sign * value for value in column)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for rank, value in enumerate(reversed(in_order), 1):
        first.setdefault(value, rank)
        last[value] = rank
    return [(first[sign * value] + last[sign * value]) / 2 for value in column]


def z_scores(column: Sequence[float], sign: int) -> list[float]:
    """The z-score of each value, with the population standard deviation; all 0 if all values are equal."""
    exact = [Fraction(value) for value in column]  # exact arithmetic: equal values stay equal, nothing overflows
    center = mean(exact)
    variance = pvariance(exact, center)
    if not variance:
        return [0.0] * len(exact)
    return [math.copysign(math.sqrt((value - center) ** 2 / variance), sign * (value - center)) for value in exact]


def _first(values: Table, changes: Table | None, signs: list[int]) -> Scored:
    keys = [tuple(-sign * value for sign, value in zip(signs, row, strict=True)) for row in values]
    return keys, [row[0] for row in changes or values]


def _mean_relative(values: Table, changes: Table | None, signs: list[int]) -> Scored:
    rows = values if changes is None else changes
    scores = [mean(sign * change for sign, change in zip(signs, row, strict=True)) for row in rows]
    return [(-score,) for score in scores], scores


def _mean_rank(values: Table, changes: Table | None, signs: list[int]) -> Scored:
    scores = _mean_over_keys(ranks, values, signs)
    return [(score,) for score in scores], scores


def _z_score(values: Table, changes: Table | None, signs: list[int]) -> Scored:
    scores = _mean_over_keys(z_scores, values, signs)
    return [(-score,) for score in scores], scores


def _mean_over_keys(
    score: Callable[[Sequence[float], int], list[float]], values: Table, signs: list[int]
) -> list[float]:
    columns = [score(column, sign) for column, sign in zip(zip(*values, strict=True), signs, strict=True)]
    return [mean(row) for row in zip(*columns, strict=True)]


AGGREGATES: dict[str, Callable[[Table, Table | None, list[int]], Scored]] = {
    "first": _first,
    "mean_relative": _mean_relative,
    "mean_rank": _mean_rank,
    "z_score": _z_score,
}
