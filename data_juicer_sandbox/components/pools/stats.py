"""The numeric stats of rows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.io.stream import read_lines
from data_juicer_sandbox.components.pools.scanners import RowScanner

if TYPE_CHECKING:
    import numpy as np

STATS = "__dj__stats__"
"""The field in which Data-Juicer stores the stats of a row."""


class Stats(RowScanner):
    """Collects the numeric stats of every row: one float column per stat, NaN for a missing value.

    A list of numbers counts as its mean. Booleans and strings are not numbers.

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
            selected = {name: _number(value) for name, value in stats.items() if not self._keys or name in self._keys}
            numbers = {name: value for name, value in selected.items() if value is not None}
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

    fields: list[tuple[str, Any]] = [(name, float | None) for name in names]
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


def _number(value: Any) -> float | None:
    """A stat as a float: a number, or the mean of a list of numbers; None for anything else."""
    if type(value) is list:
        if not value or not all(type(item) in (int, float) for item in value):
            return None
        return sum(map(_float, value)) / len(value)
    return _float(value) if type(value) in (int, float) else None


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
