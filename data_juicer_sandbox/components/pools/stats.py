"""The stats of rows: the number that a stat represents, the folder of its pools, and the columns of a data set."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.io.stream import read_lines
from data_juicer_sandbox.components.pools.scan import RowScanner

if TYPE_CHECKING:
    import numpy as np

STATS = "__dj__stats__"
"""The field in which Data-Juicer stores the stats of a row."""


def stat_value(value: object, *, booleans: bool = False) -> float:
    """The finite number that a stat of a row represents; NaN if it represents none.

    - A finite number is itself.
    - A list of numbers (for example one per image of the row) is the mean of its finite numbers. Null, NaN and the
      infinities in it are missing values and are ignored, as in Data-Juicer's overall table. A list without a finite
      number has no value, and neither has a list that contains anything else, such as text.
    - Null, NaN, the infinities, texts, mappings and booleans have no value.

    Args:
        value: the value in a row.
        booleans: whether true and false are the numbers 1 and 0, as in the feedback of a model.
    """
    if isinstance(value, list):
        numbers = [_finite(item, booleans) for item in value]
        present = [number for number in numbers if number is not None and not math.isnan(number)]
        if not present or None in numbers:
            return math.nan
        try:
            return math.fsum(present) / len(present)
        except OverflowError:  # their sum is beyond the range of floats, their mean is not
            return math.fsum(number / len(present) for number in present)
    number = _finite(value, booleans)
    return math.nan if number is None else number


def _finite(value: object, booleans: bool) -> float | None:
    """A single value as a finite number; NaN if it is missing or infinite, None if it is not a number."""
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or (isinstance(value, bool) and not booleans):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of floats
        return math.nan
    return number if math.isfinite(number) else math.nan


def stat_folder(stat: str) -> str:
    """The name of the folder of a stat's pools: no separators, spaces or leading dots."""
    return re.sub(r"[^\w.+-]", "_", stat).lstrip(".") or "_"


class Stats(RowScanner):
    """Collects the numeric stats of every row: one float column per stat of `stat_value`, NaN for a missing value.

    Args:
        keys: the stats to collect; all by default.
    """

    def __init__(self, keys: list[str] | None = None):
        import msgspec

        self._keys = keys
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
        self._names: list[str] = []
        self._fast_decoder: Any = None
        """A decoder with the stats of the first row that has stats as its schema."""
        self._as_tuple: Callable[[Any], tuple[float | None, ...]] = msgspec.structs.astuple
        self._rows: list[tuple[float | None, ...]] = []
        self._irregular_rows: dict[int, dict[str, float]] = {}
        """The stats of rows that do not fit the schema of the fast decoder, by row number."""

    def update(self, line: bytes) -> None:
        """Collect the stats of the row."""
        if self._fast_decoder is not None:
            try:
                self._rows.append(self._as_tuple(self._fast_decoder.decode(line).stats)[: len(self._names)])
                return
            except self._refusals:  # other stats, lists, NaN, no stats; or not a JSON object
                pass
        stats = parse(line).get(STATS)
        if isinstance(stats, dict):
            selected = {name: stat_value(stats[name]) for name in stats if not self._keys or name in self._keys}
            numbers = {name: value for name, value in selected.items() if not math.isnan(value)}
            if self._fast_decoder is None and numbers:
                self._names = list(self._keys or numbers)  # all requested stats, also those that this row lacks
                others = [name for name in stats if name not in numbers]
                self._fast_decoder = _decoder(self._names, None if self._keys else others)
            if numbers:
                self._irregular_rows[len(self._rows)] = numbers
        self._rows.append(())

    def update_batch(self, data: bytes, rows: int) -> bool:
        """Collect the stats of all rows, if all have the same stats."""
        first = data.index(b"\n") + 1
        try:
            self.update(data[:first])
            decoded = self._fast_decoder.decode_lines(data[first:]) if self._fast_decoder is not None else []
        except (*self._refusals, BadRow):
            decoded = []
        if len(decoded) != rows - 1:
            self._rows, self._irregular_rows = [], {}
            return False
        count = len(self._names)
        self._rows += [self._as_tuple(row.stats)[:count] for row in decoded]
        return True

    def result(self) -> dict[str, np.ndarray]:
        """The columns by stat: float64 arrays with one entry per row."""
        import numpy as np

        no_stats = (None,) * len(self._names)
        rows = (row or no_stats for row in self._rows)
        table = np.empty((len(self._rows), len(self._names)))
        for at in range(0, len(table), 10_000):
            table[at : at + 10_000] = np.array(list(islice(rows, 10_000)), float)
        columns = {name: np.ascontiguousarray(table[:, index]) for index, name in enumerate(self._names)}
        for number, stats in self._irregular_rows.items():
            for name, value in stats.items():
                columns.setdefault(name, np.full(len(table), np.nan))[number] = value
        return columns


def numeric_stats(path: str, rows: int = 1_000) -> set[str]:
    """The names of the stats that are numeric in at least one of the first rows of a data set."""
    scanner = Stats()
    for line in islice(read_lines(path), rows):
        scanner.update(line)
    return set(scanner.result())


def _decoder(names: list[str], others: list[str] | None) -> Any:
    """A decoder for rows whose stats match a fixed schema; faster than decoding into dicts, rejects other rows.

    Args:
        names: the numeric stats.
        others: the other stats; a row with further stats is rejected. None: a row may have any further stats.
    """
    import msgspec

    fields: list[tuple[str, object]] = [(name, float | None) for name in names]
    fields += [(name, str | bool | list[str] | dict | None) for name in others or ()]
    stats = msgspec.defstruct(
        "Stats",
        [(f"s{index}", value_type, None) for index, (_, value_type) in enumerate(fields)],
        rename={f"s{index}": name for index, (name, _) in enumerate(fields)},
        forbid_unknown_fields=others is not None,
        gc=False,
    )
    row = msgspec.defstruct("Row", [("stats", stats)], rename={"stats": STATS}, gc=False)
    return msgspec.json.Decoder(row)
