"""Order of the training rows, and how many of them a budget covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def rows_in_order(count: int, seed: int) -> Iterator[int]:
    """Yield row numbers without end: all rows, shuffled again for every epoch.

    Args:
        count: number of rows.
        seed: seed of the shuffling.
    """
    import numpy

    epoch = 0
    while True:
        yield from numpy.random.default_rng([seed, epoch]).permutation(count).tolist()
        epoch += 1


def take(count: int, seed: int, rows: int) -> list[int]:
    """The first `rows` row numbers of `rows_in_order`."""
    order = rows_in_order(count, seed)
    return [next(order) for _ in range(rows)]


def take_tokens(lengths: Sequence[int], seed: int, tokens: int) -> list[int]:
    """Row numbers of `rows_in_order` until the token budget is spent; the last row may exceed it.

    Args:
        lengths: number of tokens of each row, 1 or more.
        seed: seed of the shuffling.
        tokens: the token budget.
    """
    order, chosen, remaining = rows_in_order(len(lengths), seed), [], tokens
    while remaining > 0:
        chosen.append(next(order))
        remaining -= lengths[chosen[-1]]
    return chosen
