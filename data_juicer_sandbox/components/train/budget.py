"""Which rows are trained on, in which order, until a budget is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def rows_in_order(count: int, seed: int) -> Iterator[int]:
    """Row numbers without end: all rows, shuffled anew for every pass.

    Args:
        count: rows there are.
        seed: of the shuffling.
    """
    import numpy

    number = 0
    while True:
        yield from numpy.random.default_rng([seed, number]).permutation(count).tolist()
        number += 1


def take(count: int, seed: int, rows: int) -> list[int]:
    """The first so many rows of that order."""
    order = rows_in_order(count, seed)
    return [next(order) for _ in range(rows)]


def take_tokens(lengths: Sequence[int], seed: int, tokens: int) -> list[int]:
    """Rows of that order until they have so many tokens together; the last one may go beyond.

    Args:
        lengths: tokens of each row, 1 or more.
        seed: of the shuffling.
        tokens: the budget.
    """
    order, found, left = rows_in_order(len(lengths), seed), [], tokens
    while left > 0:
        found.append(next(order))
        left -= lengths[found[-1]]
    return found
