"""The arithmetic of mixtures: shares, whole rows, and which rows of a pool they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.names import distinct_names
from data_juicer_sandbox.components.pools.open_pools import joined
from data_juicer_sandbox.components.pools.sampling import shuffled
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["apportioned", "joined", "largest", "order", "order_by_tokens", "shares"]


def shares(pools: Sequence[str], given: Sequence[float] | dict[str, float] | None) -> list[Fraction]:
    """The share of each pool; they sum to 1.

    Raises:
        ConfigError: they are not as many as the pools, not of these pools, or no weights.
    """
    if isinstance(given, dict):
        names = distinct_names(list(pools))
        known = dict(zip([*pools, *names], [*range(len(pools))] * 2, strict=True))
        for name in given:
            if name not in known:
                raise ConfigError(f"shares names {name!r}, which is none of the pools", hint=suggest(name, known))
        weights = [Fraction(0)] * len(pools)
        for name, weight in given.items():
            weights[known[name]] += _weight(weight)
        if missing := [path for path, name in zip(pools, names, strict=True) if not {path, name} & set(given)]:
            raise ConfigError(f"shares has none for {', '.join(missing)}", hint="0 leaves a pool out")
    else:
        weights = [_weight(weight) for weight in ([1] * len(pools) if given is None else given)]
    if len(weights) != len(pools):
        raise ConfigError(f"{len(weights)} shares for {len(pools)} pools", hint="one for each")
    if not sum(weights):
        raise ConfigError(f"shares {given}: one of them must be above 0")
    return [weight / sum(weights) for weight in weights]


def _weight(given: float) -> Fraction:
    if not 0 <= given < math.inf:
        raise ConfigError(f"the share {given} is no number from 0")
    return Fraction(str(given))


def apportioned(total: int, parts: Sequence[Fraction]) -> list[int]:
    """A total in whole numbers by shares: each rounded down, and one more for the largest remainders."""
    exact = [total * part for part in parts]
    whole = [int(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda number: whole[number] - exact[number])  # ties: the first
    for number in by_remainder[: total - sum(whole)]:
        whole[number] += 1
    return whole


def largest(sizes: Sequence[int], parts: Sequence[Fraction]) -> int:
    """The total at which the first of the pools runs out of rows."""
    total = min(int(size / part) for size, part in zip(sizes, parts, strict=True) if part)
    # A remainder may give a pool the one row too much.
    while any(wanted > size for wanted, size in zip(apportioned(total, parts), sizes, strict=True)):
        total -= 1
    return total


def order(path: str, size: int, wanted: int, repeat: bool, seed: int) -> np.ndarray:
    """Which rows of a pool are drawn, in an order of chance; whole passes first, should it be repeated.

    Raises:
        JobError: it has too few, and may not be repeated.
    """
    if wanted > size and (not repeat or not size):
        hint = "repeat: true, a smaller total or share" if size else None
        raise JobError(f"{path} has {size:,} rows, fewer than the {wanted:,} of its share", hint=hint)
    passes = -(-wanted // max(1, size))
    return joined([shuffled(size, seed + number) for number in range(passes)])[:wanted]


def order_by_tokens(path: str, tokens: np.ndarray, wanted: Fraction, repeat: bool, seed: int) -> np.ndarray:
    """Which rows of a pool are drawn, in an order of chance, so that their tokens come nearest to what is wanted.

    Raises:
        JobError: it has too few, and may not be repeated.
    """
    import numpy as np

    there = int(tokens.sum())
    if wanted > there and (not repeat or not there):
        hint = "repeat: true, a smaller total or share" if there else None
        raise JobError(f"{path} has {there:,} tokens, fewer than the {int(wanted):,} of its share", hint=hint)
    passes = max(1, -(-int(wanted) // max(1, there)))
    drawn = joined([shuffled(len(tokens), seed + number) for number in range(passes)])
    sums = np.append(0, np.cumsum(tokens[drawn]))
    upto = int(np.searchsorted(sums, float(wanted)))
    if upto and (upto == len(sums) or float(wanted) - sums[upto - 1] < sums[upto] - float(wanted)):
        upto -= 1
    return drawn[:upto]
