"""Seeded random draws, and sizes of samples by shares.

A seed gives the same numbers on every machine: NumPy guarantees a stable stream of its legacy generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def permutation(count: int, seed: int) -> np.ndarray:
    """The numbers below `count` in random order (int64)."""
    import numpy as np
    from numpy.random import MT19937, RandomState, SeedSequence

    return RandomState(MT19937(SeedSequence(seed))).permutation(np.arange(count, dtype=np.int64))


def sample_rows(count: int, size: int, seed: int) -> np.ndarray:
    """Draw `size` of the numbers below `count` uniformly, without replacement; returns them in ascending order.

    With the same seed, a smaller draw is a subset of a larger one.
    """
    import numpy as np

    return np.sort(permutation(count, seed)[:size])


def apportion(total: int, weights: Sequence[int] | Sequence[Fraction]) -> list[int]:
    """Divide a total into integers in proportion to weights, with the largest remainder method (Hamilton).

    Args:
        total: the sum of the result.
        weights: at least one is above 0; ties of remainders go to the first.
    """
    weight_sum = sum(weights)
    counts = [int(total * weight // weight_sum) for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: -(total * weights[index] % weight_sum))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts
