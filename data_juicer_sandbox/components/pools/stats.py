"""The stats of rows."""

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
"""Where Data-Juicer puts the stats of a row."""


class Stats(RowScanner):
    """The numeric stats of every row, as a column of floats for each stat; NaN for what is not there.

    A list of numbers counts by its mean; truth values and texts are no numbers.

    Args:
        keys: the stats wanted; all by default.
    """

    def __init__(self, keys: list[str] | None = None):
        import msgspec

        self._keys = keys
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
        self._names: list[str] = []
        self._quick: Any = None
        """The decoder made for the stats of the first row that has some."""
        self._flat: Callable[[Any], tuple[float | None, ...]] = msgspec.structs.astuple
        self._seen: list[tuple[float | None, ...]] = []
        self._odd: dict[int, dict[str, float]] = {}
        """The rows that do not hold just the stats of the first one, by number."""

    def see(self, line: bytes) -> None:
        """Take the stats of the row."""
        if self._quick is not None:
            try:
                self._seen.append(self._flat(self._quick.decode(line).stats)[: len(self._names)])
                return
            except self._refusals:  # other stats, lists, NaN, no stats; or no row at all
                pass
        stats = parse(line).get(STATS)
        if isinstance(stats, dict):
            wanted = {name: _number(value) for name, value in stats.items() if not self._keys or name in self._keys}
            numbers = {name: value for name, value in wanted.items() if value is not None}
            if self._quick is None and numbers:
                self._names = list(self._keys or numbers)  # all that are wanted, if this row lacks them or not
                others = [name for name in stats if name not in numbers]
                self._quick = _decoder(self._names, None if self._keys else others)
            if numbers:
                self._odd[len(self._seen)] = numbers
        self._seen.append(())

    def see_all(self, data: bytes, rows: int) -> bool:
        """Take the stats of all rows, if they are alike."""
        first = data.index(b"\n") + 1
        try:
            self.see(data[:first])
            found = self._quick.decode_lines(data[first:]) if self._quick is not None else []
        except (*self._refusals, BadRow):
            found = []
        if len(found) != rows - 1:
            self._seen, self._odd = [], {}
            return False
        count = len(self._names)
        self._seen += [self._flat(row.stats)[:count] for row in found]
        return True

    def told(self) -> dict[str, np.ndarray]:
        """Columns by stat, as float64 arrays as long as there were rows."""
        import numpy as np

        gap = (None,) * len(self._names)
        rows = (row or gap for row in self._seen)
        table = np.empty((len(self._seen), len(self._names)))
        for at in range(0, len(table), 10_000):
            table[at : at + 10_000] = np.array(list(islice(rows, 10_000)), float)
        told = {name: np.ascontiguousarray(table[:, place]) for place, name in enumerate(self._names)}
        for number, stats in self._odd.items():
            for name, value in stats.items():
                told.setdefault(name, np.full(len(table), np.nan))[number] = value
        return told


def numeric_stats(path: str, rows: int = 1_000) -> set[str]:
    """The names of the stats that are numbers in some of the first rows of a data set."""
    look = Stats()
    for line in islice(read_lines(path), rows):
        look.see(line)
    return set(look.told())


def _decoder(names: list[str], others: list[str] | None) -> Any:
    """Reads a row's stats if they are of the kind expected, and refuses others: quicker than making a mapping of them.

    Args:
        names: the stats that are numbers.
        others: those that are none, of which there may be no more; None where it does not matter what else there is.
    """
    import msgspec

    kinds: list[tuple[str, Any]] = [(name, float | None) for name in names]
    kinds += [(name, str | bool | list[str] | dict | None) for name in others or ()]
    stats = msgspec.defstruct(
        "Stats",
        [(f"s{place}", kind, None) for place, (_, kind) in enumerate(kinds)],
        rename={f"s{place}": name for place, (name, _) in enumerate(kinds)},
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
