"""How a pool is to be cut, as its config says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.pools import splits
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np


class Cutting:
    """One of the ways to cut; the arguments are those of `DataPoolConstruction`.

    Raises:
        ConfigError: they exclude each other, or are no shares.
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
        given = [name for name, value in by_stat.items() if value is not None]
        plain = [name for name, value in (("split_ratios", split_ratios), ("split_num", split_num)) if value]
        if len(given) > 1 or (given and plain):
            raise ConfigError(f"{' and '.join(given + plain)} are different ways to cut", hint="give one of them")
        if given and ignore_stats:
            raise ConfigError(f"{given[0]} needs stats, and ignore_stats is true")
        self.recipe = [split_ratios, split_num, split_quantiles, split_values, keep_top, remainder, ignore_stats]
        self._number, self._drop = split_num, remainder == "drop"
        self._ratios = splits.shares("split_ratios", ["1/3", "2/3"] if split_ratios is None else split_ratios)
        self._quantiles = None if split_quantiles is None else splits.shares("split_quantiles", split_quantiles)
        self._values = split_values
        for borders in split_values.values() if isinstance(split_values, dict) else [split_values or []]:
            if any(math.isnan(border) for border in borders) or any(a >= b for a, b in pairwise(borders)):
                raise ConfigError(f"split_values {borders}: numbers are wanted, each larger than the one before")
        self._top = (
            keep_top if keep_top is None or isinstance(keep_top, int) else splits.shares("keep_top", [keep_top])[0]
        )
        sizes = {b - a for a, b in pairwise([Fraction(0), *self._ratios, Fraction(1)])}
        if self._drop and (given or (not split_num and len(sizes) > 1)):
            raise ConfigError("remainder: drop makes pools of one size, which this way of cutting does not")

    def plain(self, rows: int) -> Iterator[tuple[str, splits.Part]]:
        """The parts by ratios or number, each with its name; those without rows are left out."""
        if self._number:
            if self._drop:
                parts = splits.equal(rows, self._number, rows // self._number)
            else:
                parts = splits.by_number(rows, self._number)
        elif self._drop:
            parts = splits.equal(rows, rows // (len(self._ratios) + 1), len(self._ratios) + 1)
        else:
            parts = splits.by_ratios(rows, self._ratios)
        yield from self._filled("rows", parts)

    def by_stat(self, stat: str, values: np.ndarray) -> Iterator[tuple[str, splits.Part]]:
        """The parts of sorted values of a stat, each with its name; those without rows are left out."""
        if self._top is not None:
            rows = self._top if isinstance(self._top, int) else round(self._top * len(values))
            if rows > len(values):
                raise JobError(f"keep_top {rows:,}: only {len(values):,} rows have the stat {stat!r}")
            yield from self._filled(stat, [(len(values) - rows, len(values))], ["top"])
        elif self._quantiles is not None:
            yield from self._filled(stat, splits.by_quantiles(values, self._quantiles))
        elif self._values is not None:
            yield from self._filled(stat, splits.by_values(values, self._borders(stat)))
        else:
            yield from self.plain(len(values))

    def _borders(self, stat: str) -> list[float]:
        if not isinstance(self._values, dict):
            return self._values or []
        if stat not in self._values:
            raise JobError(f"split_values has none for the stat {stat!r}", hint="stats_keys chooses the stats")
        return self._values[stat]

    def _filled(
        self, what: str, parts: list[splits.Part], names: Sequence[str] | None = None
    ) -> Iterator[tuple[str, splits.Part]]:
        for name, (start, end) in zip(names or map(str, range(len(parts))), parts, strict=True):
            if end > start:
                yield name, (start, end)
            else:
                logger.warning("{}: part {} would have no rows, and is not written", what, name)
