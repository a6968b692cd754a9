"""Sampling of the rows that a model scores."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.parse import MISSING, get_nested
from data_juicer_sandbox.components.io.stream import valid_lines
from data_juicer_sandbox.components.pools.sampling import apportion, sample_rows
from data_juicer_sandbox.components.pools.stats import STATS, stat_value
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import JsonValue, Row

if TYPE_CHECKING:
    import numpy as np

Algo = Literal["uniform", "frequency", "stratified"]


@dataclass(frozen=True)
class Sample:
    """A sampling method. Deterministic: the same data and seed give the same rows.

    - `uniform`: each row is equally likely.
    - `frequency`: rows with the most frequent value of a field first, then those with the next, until the sample is
      full; from the last value's rows, some at random. The order of values is that of Data-Juicer's
      `frequency_specified_field_selector`; equally frequent values keep their order of appearance.
    - `stratified`: from each stratum a number of random rows in proportion to its size (proportional allocation; the
      remainder after rounding down goes to the largest fractions; Cochran 1977, "Sampling Techniques", section 5.5).
      Strata are the values of a field; numbers with more than `strata` different values are divided at quantiles. Rows
      without the field form a separate stratum.

    Args:
        ratio: fraction of the rows, in (0, 1]; at least one row is drawn.
        algo: `uniform`, `frequency` or `stratified`.
        key: the field for `frequency` and `stratified`; dots separate nested keys. If a row has no such field,
            `__dj__stats__` is used. A list of numbers counts by the mean of its finite numbers.
        strata: number of strata for numbers.
        seed: seed of the random draws.

    Raises:
        ConfigError: the ratio is out of range, or the key is missing.
    """

    ratio: float = 1.0
    algo: Algo = "uniform"
    key: str | None = None
    strata: int = 10
    seed: int = 42

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ConfigError(f"data_probe_ratio is {self.ratio}", hint="above 0, at most 1")
        if self.algo != "uniform" and self.key is None:
            raise ConfigError(f"data_probe_algo: {self.algo} needs a field", hint=f"{PARAMETERS[self.algo]}: <field>")

    def draw(self, path: str, allowance: Allowance | None = None) -> tuple[int, np.ndarray]:
        """Read the data set once and draw the rows.

        Args:
            path: the data set.
            allowance: the invalid rows that are skipped, and not numbered; none by default.

        Returns:
            The number of rows, and the indices of the drawn rows, from 0, ascending.

        Raises:
            JobError: the data set is empty, or no row has the field.
        """
        import numpy as np

        if self.algo == "uniform" or self.ratio == 1:
            count = sum(1 for _ in valid_lines(path, allowance))
            groups = None
        else:
            groups = _groups(
                read_rows(path, allowance), path, str(self.key), self.strata if self.algo == "stratified" else None
            )
            count = len(groups)
        if not count:
            raise JobError(f"there are no rows in {path}")
        sample_size = max(1, round(self.ratio * count))
        if sample_size == count:
            return count, np.arange(count)
        if groups is None:
            return count, sample_rows(count, sample_size, self.seed)
        sizes = np.bincount(groups)
        members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
        by_group = sizes.tolist()
        by_frequency = self.algo == "frequency"
        rows_per_group = _by_frequency(by_group, sample_size) if by_frequency else apportion(sample_size, by_group)
        drawn_rows = [
            rows[sample_rows(len(rows), number, self.seed + group_index)]
            for group_index, (rows, number) in enumerate(zip(members, rows_per_group, strict=True))
            if number
        ]
        return count, np.sort(np.concatenate(drawn_rows))


PARAMETERS = {"frequency": "frequency_key", "stratified": "strata_key"}


def _by_frequency(sizes: list[int], sample_size: int) -> list[int]:
    allocation, remaining = [0] * len(sizes), sample_size
    for group in sorted(range(len(sizes)), key=lambda group: -sizes[group]):
        allocation[group] = min(sizes[group], remaining)
        remaining -= allocation[group]
    return allocation


def _groups(rows: Iterator[Row], path: str, key: str, quantiles: int | None) -> np.ndarray:
    """The group index of each row, numbered by first appearance; numbers with many values are grouped by quantiles."""
    import numpy as np

    numbers, codes, names = array("d"), array("q"), dict[str, int]()
    for row in rows:
        value = _value(row, key)
        number = stat_value(value)
        numbers.append(number)
        codes.append(-1 if not math.isnan(number) else names.setdefault(json.dumps(value, sort_keys=True), len(names)))
    values, groups = np.asarray(numbers), np.asarray(codes)
    if len(groups) and set(names) == {"null"} and np.isnan(values).all():
        raise JobError(f"no row of {path} has {key!r}", hint=f"neither as a field nor in {STATS}")
    is_numeric = ~np.isnan(values)
    if is_numeric.any():
        distinct, bins = np.unique(values[is_numeric], return_inverse=True)
        if quantiles is not None and len(distinct) > quantiles:
            edges = np.quantile(values[is_numeric], np.linspace(0, 1, quantiles + 1)[1:-1])
            bins = np.searchsorted(edges, values[is_numeric], side="right")
        groups[is_numeric] = len(names) + bins
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _value(row: Row, key: str) -> JsonValue:
    value = get_nested(row, key.split("."))
    if value is MISSING:
        stats = row.get(STATS)
        value = stats.get(key) if isinstance(stats, dict) else None
    return value
