"""Splits of sorted rows into parts. All functions return parts as (start, end) positions in the sorted rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np

Part = tuple[int, int]


def parse_fractions(name: str, values: Sequence[float | str]) -> list[Fraction]:
    """Parse ascending numbers between 0 and 1 as exact fractions (`1/3`, `0.1`).

    Raises:
        ConfigError: the values are not such numbers.
    """
    try:
        fractions = [Fraction(str(value)) for value in values]
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"{name} {list(values)}: {error}", hint="numbers such as 0.25, or '1/4'") from error
    if not fractions or not all(0 < share < 1 for share in fractions) or any(a >= b for a, b in pairwise(fractions)):
        raise ConfigError(f"{name} {list(values)}: expected numbers in (0, 1) in ascending order")
    return fractions


def by_ratios(rows: int, ratios: Sequence[Fraction]) -> list[Part]:
    """Split at ratios, rounded to the nearest row, so that parts of equal ratios differ by one row at most."""
    bounds = [0, *(int(rows * ratio + Fraction(1, 2)) for ratio in ratios), rows]
    return list(pairwise(bounds))


def by_number(rows: int, number: int) -> list[Part]:
    """Parts of `number` rows; the last one may have fewer."""
    return [(start, min(start + number, rows)) for start in range(0, rows, number)]


def equal(rows: int, number: int, parts: int) -> list[Part]:
    """`parts` parts of `number` rows each, spread evenly: the first has the lowest rows, the last the highest, and the
    dropped rows lie between parts.
    """
    last_start = rows - number
    starts = [last_start * part // (parts - 1) if parts > 1 else 0 for part in range(parts)]
    return [(start, start + number) for start in starts]


def by_quantiles(values: np.ndarray, quantiles: Sequence[Fraction]) -> list[Part]:
    """Split behind the value at each quantile; equal values stay together, so parts may differ in size.

    Args:
        values: sorted in ascending order.
        quantiles: the value at q is that of row ceil(q n), as in Hyndman & Fan (1996), definition 1.
    """
    import numpy as np

    if not len(values):
        return [(0, 0)] * (len(quantiles) + 1)
    borders = [values[math.ceil(quantile * len(values)) - 1] for quantile in quantiles]
    return list(pairwise([0, *np.searchsorted(values, borders, side="right").tolist(), len(values)]))


def by_values(values: np.ndarray, borders: Sequence[float]) -> list[Part]:
    """Split at borders; a value equal to a border belongs to the upper part."""
    import numpy as np

    return list(pairwise([0, *np.searchsorted(values, borders, side="left").tolist(), len(values)]))


class Splitter:
    """Splits rows as configured; the arguments are those of `DataPoolConstruction`.

    Raises:
        ConfigError: arguments exclude each other, or are invalid fractions.
    """

    def __init__(
        self,
        split_ratios: list[float | str] | None,
        split_num: int | None,
        split_quantiles: list[float | str] | None,
        split_values: list[float] | dict[str, list[float]] | None,
        keep_top: float | str | None,
        remainder: str,
        ignore_stats: bool,
    ):
        by_stat = {"split_quantiles": split_quantiles, "split_values": split_values, "keep_top": keep_top}
        by_stat_names = [name for name, value in by_stat.items() if value is not None]
        by_position = {"split_ratios": split_ratios, "split_num": split_num}
        by_position_names = [name for name, value in by_position.items() if value]
        if len(by_stat_names) > 1 or (by_stat_names and by_position_names):
            conflicting = " and ".join(by_stat_names + by_position_names)
            raise ConfigError(f"{conflicting} exclude each other", hint="set one of them")
        if by_stat_names and ignore_stats:
            raise ConfigError(f"{by_stat_names[0]} needs stats, but ignore_stats is true")
        self.recipe = [split_ratios, split_num, split_quantiles, split_values, keep_top, remainder, ignore_stats]
        self._number, self._drop = split_num, remainder == "drop"
        self._ratios = parse_fractions("split_ratios", ["1/3", "2/3"] if split_ratios is None else split_ratios)
        self._quantiles = None if split_quantiles is None else parse_fractions("split_quantiles", split_quantiles)
        self._values = split_values
        for borders in split_values.values() if isinstance(split_values, dict) else [split_values or []]:
            if any(math.isnan(border) for border in borders) or any(a >= b for a, b in pairwise(borders)):
                raise ConfigError(f"split_values {borders}: expected numbers in ascending order")
        self._top = (
            keep_top if keep_top is None or isinstance(keep_top, int) else parse_fractions("keep_top", [keep_top])[0]
        )
        sizes = {b - a for a, b in pairwise([Fraction(0), *self._ratios, Fraction(1)])}
        if self._drop and (by_stat_names or (not split_num and len(sizes) > 1)):
            raise ConfigError("remainder: drop needs pools of equal size, by split_num or equal split_ratios")

    def by_position(self, rows: int) -> Iterator[tuple[str, Part]]:
        """Yield name and part for a split by ratios or number; parts without rows are skipped."""
        if self._number:
            if self._drop:
                parts = equal(rows, self._number, rows // self._number)
            else:
                parts = by_number(rows, self._number)
        elif self._drop:
            parts = equal(rows, rows // (len(self._ratios) + 1), len(self._ratios) + 1)
        else:
            parts = by_ratios(rows, self._ratios)
        yield from self._nonempty("rows", parts)

    def by_stat(self, stat: str, values: np.ndarray) -> Iterator[tuple[str, Part]]:
        """Yield name and part for the sorted values of a stat; parts without rows are skipped."""
        if self._top is not None:
            rows = self._top if isinstance(self._top, int) else round(self._top * len(values))
            if rows > len(values):
                raise JobError(f"keep_top {rows:,}: only {len(values):,} rows have the stat {stat!r}")
            yield from self._nonempty(stat, [(len(values) - rows, len(values))], ["top"])
        elif self._quantiles is not None:
            yield from self._nonempty(stat, by_quantiles(values, self._quantiles))
        elif self._values is not None:
            yield from self._nonempty(stat, by_values(values, self._borders(stat)))
        else:
            yield from self.by_position(len(values))

    def _borders(self, stat: str) -> list[float]:
        if not isinstance(self._values, dict):
            return self._values or []
        if stat not in self._values:
            raise JobError(f"split_values has no values for the stat {stat!r}", hint="select the stats by stats_keys")
        return self._values[stat]

    def _nonempty(
        self, label: str, parts: list[Part], names: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Part]]:
        for name, (start, end) in zip(names or map(str, range(len(parts))), parts, strict=True):
            if end > start:
                yield name, (start, end)
            else:
                logger.warning("{}: part {} has no rows and is not written", label, name)
