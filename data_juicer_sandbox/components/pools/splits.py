"""Where a sorted pool is cut. All functions give parts as (start, end) positions in the sorted rows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from data_juicer_sandbox.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

Part = tuple[int, int]


def shares(name: str, values: Sequence[float | str]) -> list[Fraction]:
    """Numbers between 0 and 1, rising, exactly as they are written (`1/3`, `0.1`).

    Raises:
        ConfigError: they are none.
    """
    try:
        found = [Fraction(str(value)) for value in values]
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"{name} {list(values)}: {error}", hint="numbers such as 0.25, or '1/4'") from error
    if not found or not all(0 < share < 1 for share in found) or any(a >= b for a, b in pairwise(found)):
        raise ConfigError(f"{name} {list(values)}: numbers in (0, 1) are wanted, each larger than the one before")
    return found


def by_ratios(rows: int, ratios: Sequence[Fraction]) -> list[Part]:
    """Every row in a part; each cut at the nearest row, so parts of equal ratios differ by one row at most."""
    cuts = [0, *(int(rows * ratio + Fraction(1, 2)) for ratio in ratios), rows]
    return list(pairwise(cuts))


def by_number(rows: int, number: int) -> list[Part]:
    """Parts of `number` rows; the last one has what is left."""
    return [(start, min(start + number, rows)) for start in range(0, rows, number)]


def equal(rows: int, number: int, parts: int) -> list[Part]:
    """So many parts of `number` rows each, spread evenly: the first has the lowest rows, the last the highest, and what
    is left over lies between them.
    """
    room = rows - number
    starts = [room * part // (parts - 1) if parts > 1 else 0 for part in range(parts)]
    return [(start, start + number) for start in starts]


def by_quantiles(values: np.ndarray, quantiles: Sequence[Fraction]) -> list[Part]:
    """Rows up to the value at each quantile; equal values stay together, so parts may differ in size.

    Args:
        values: sorted.
        quantiles: the value at q is that of row ceil(q n), as in Hyndman & Fan (1996), definition 1.
    """
    import numpy as np

    if not len(values):
        return [(0, 0)] * (len(quantiles) + 1)
    at = [values[ceil(quantile * len(values)) - 1] for quantile in quantiles]
    return list(pairwise([0, *np.searchsorted(values, at, side="right").tolist(), len(values)]))


def by_values(values: np.ndarray, borders: Sequence[float]) -> list[Part]:
    """Rows below the first border, from the first to below the second, and so on."""
    import numpy as np

    return list(pairwise([0, *np.searchsorted(values, borders, side="left").tolist(), len(values)]))
