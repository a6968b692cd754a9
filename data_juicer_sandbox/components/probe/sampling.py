"""Which rows of a data set a model is asked about."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from data_juicer_sandbox.components.io import read_lines, read_rows
from data_juicer_sandbox.components.io.get_nested import MISSING, get_nested
from data_juicer_sandbox.components.pools.sampling import apportion, sample_rows
from data_juicer_sandbox.components.pools.stats import STATS
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np

Algo = Literal["uniform", "frequency", "stratified"]


@dataclass(frozen=True)
class Sample:
    """How rows are drawn. Deterministic: the same rows for the same data and seed.

    - `uniform`: each row is as likely as any other.
    - `frequency`: rows with the most frequent value of a field first, then those with the next, until there are enough;
      of the last value's rows, some at random. The order of values is that of Data-Juicer's
      `frequency_specified_field_selector`; values that are as frequent keep the order in which they appear.
    - `stratified`: from each stratum as many rows as its share of the data (proportional allocation, what is left after
      rounding down going to the largest remainders; Cochran 1977, "Sampling Techniques", section 5.5), at random.
      Strata are the values of a field; numbers of more than `strata` different values are cut at their quantiles. Rows
      without the field are a stratum of their own.

    Args:
        ratio: share of the rows, in (0, 1]; at least one row is drawn.
        algo: one of the above.
        key: the field that `frequency` and `stratified` go by; dots go deeper; a name that is no field is looked for
            in `__dj__stats__`. A list of numbers counts by its mean.
        strata: strata that numbers are cut into.
        seed: of what is drawn at random.

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

    def draw(self, path: str) -> tuple[int, np.ndarray]:
        """Read the data set once.

        Returns:
            How many rows it has, and the numbers of those drawn, from 0, rising.

        Raises:
            JobError: there are no rows, or none has the field.
        """
        import numpy as np

        if self.algo == "uniform" or self.ratio == 1:
            count = sum(1 for _ in read_lines(path))
            groups = None
        else:
            groups = _groups(path, str(self.key), self.strata if self.algo == "stratified" else None)
            count = len(groups)
        if not count:
            raise JobError(f"there are no rows in {path}")
        wanted = max(1, round(self.ratio * count))
        if wanted == count:
            return count, np.arange(count)
        if groups is None:
            return count, sample_rows(count, wanted, self.seed)
        sizes = np.bincount(groups)
        members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
        by_group = sizes.tolist()
        numbers = _by_frequency(by_group, wanted) if self.algo == "frequency" else apportion(wanted, by_group)
        chosen = [
            rows[sample_rows(len(rows), number, self.seed + place)]
            for place, (rows, number) in enumerate(zip(members, numbers, strict=True))
            if number
        ]
        return count, np.sort(np.concatenate(chosen))


PARAMETERS = {"frequency": "frequency_key", "stratified": "strata_key"}


def _by_frequency(sizes: list[int], wanted: int) -> list[int]:
    taken, left = [0] * len(sizes), wanted
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        taken[place] = min(sizes[place], left)
        left -= taken[place]
    return taken


def _groups(path: str, key: str, quantiles: int | None) -> np.ndarray:
    """The group of each row, from 0, in the order in which the groups appear; numbers by quantiles, if so many."""
    import numpy as np

    numbers, codes, names = array("d"), array("q"), dict[str, int]()
    for row in read_rows(path):
        value = _value(row, key)
        number = isinstance(value, int | float) and not isinstance(value, bool) and value == value
        numbers.append(float(value) if number else np.nan)
        codes.append(-1 if number else names.setdefault(json.dumps(value, sort_keys=True), len(names)))
    values, groups = np.asarray(numbers), np.asarray(codes)
    if len(groups) and set(names) == {"null"} and np.isnan(values).all():
        raise JobError(f"no row of {path} has {key!r}", hint=f"neither as a field nor in {STATS}")
    known = ~np.isnan(values)
    if known.any():
        distinct, places = np.unique(values[known], return_inverse=True)
        if quantiles is not None and len(distinct) > quantiles:
            edges = np.quantile(values[known], np.linspace(0, 1, quantiles + 1)[1:-1])
            places = np.searchsorted(edges, values[known], side="right")
        groups[known] = len(names) + places
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _value(row: dict[str, Any], key: str) -> Any:
    value = get_nested(row, key.split("."))
    if value is MISSING:
        stats = row.get(STATS)
        value = stats.get(key) if isinstance(stats, dict) else None
    if isinstance(value, list) and value and all(isinstance(one, int | float) for one in value):
        return sum(value) / len(value)
    return value
