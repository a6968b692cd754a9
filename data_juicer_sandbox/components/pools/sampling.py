"""Chance, by a seed: the same numbers everywhere, from a generator that NumPy has frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def shuffled(count: int, seed: int) -> np.ndarray:
    """The numbers below `count` in an order of chance (int64)."""
    import numpy as np
    from numpy.random import MT19937, RandomState, SeedSequence

    return RandomState(MT19937(SeedSequence(seed))).permutation(np.arange(count, dtype=np.int64))


def drawn(count: int, wanted: int, seed: int) -> np.ndarray:
    """`wanted` of the numbers below `count`, each as likely as any other, rising.

    A smaller draw by the same seed is a part of a larger one.
    """
    import numpy as np

    return np.sort(shuffled(count, seed)[:wanted])
