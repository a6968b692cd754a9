"""What is looked for in every row while a pool is read: nothing but that it is a row, its stats, its keys, its size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from data_juicer_sandbox.components.rows.parse import BadRow, parse, parse_slowly

STATS = "__dj__stats__"
"""Where Data-Juicer puts the stats of a row."""


class Look(ABC):
    """Sees the rows of a stretch of a pool, one after the other, and tells what it saw."""

    @abstractmethod
    def see(self, line: bytes) -> None:
        """Look at one row.

        Raises:
            BadRow: it is none, or lacks what is looked for; nothing of it is kept then.
        """

    @abstractmethod
    def told(self) -> Any:
        """What was seen, one entry a row where there is one for every row."""


class Valid(Look):
    """Nothing but that each line is a JSON object."""

    def __init__(self) -> None:
        import msgspec

        # A type without fields: the row is read through, and nothing is made of it.
        self._read = msgspec.json.Decoder(msgspec.defstruct("Row", [])).decode
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

    def see(self, line: bytes) -> None:
        """Check the row."""
        try:
            self._read(line)
        except self._refusals:
            parse_slowly(line)

    def told(self) -> None:
        """Nothing."""


class Stats(Look):
    """The numeric stats of every row, as a column of floats for each stat; NaN for what is not there."""

    def __init__(self) -> None:
        import msgspec

        row = msgspec.defstruct("Row", [("stats", "dict[str, object] | None", None)], rename={"stats": STATS})
        self._read: Callable[[bytes], Any] = msgspec.json.Decoder(row).decode
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
        self._columns: dict[str, list[float]] = {}
        self._rows = 0

    def see(self, line: bytes) -> None:
        """Take the stats of the row."""
        try:
            stats = self._read(line).stats
        except self._refusals:  # not all that is refused is wrong: NaN, or stats that are no mapping
            stats = parse_slowly(line).get(STATS)
        if isinstance(stats, dict):
            for name, value in stats.items():
                kind = type(value)
                if kind is not float:
                    if kind is int:
                        value = _float(value)
                    elif kind is list and (mean := _mean(value)) is not None:
                        value = mean
                    else:
                        continue
                column = self._columns.get(name)
                if column is None:
                    column = self._columns[name] = []
                if len(column) < self._rows:
                    column.extend([float("nan")] * (self._rows - len(column)))
                column.append(value)
        self._rows += 1

    def told(self) -> dict[str, Any]:
        """Columns by stat, as float64 arrays as long as there were rows."""
        import numpy as np

        told = {}
        for name, column in self._columns.items():
            full = np.full(self._rows, np.nan)
            full[: len(column)] = column
            told[name] = full
        return told


class Keys(Look):
    """The names of all fields that rows have at their top."""

    def __init__(self) -> None:
        import msgspec

        self._read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._refusals = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
        self._keys: set[str] = set()

    def see(self, line: bytes) -> None:
        """Take the names of the row's fields."""
        try:
            self._keys.update(self._read(line))
        except self._refusals:
            self._keys.update(parse(line))

    def told(self) -> set[str]:
        """All names."""
        return self._keys


def _mean(values: list[Any]) -> float | None:
    """The mean of a list of numbers; None where it holds none, or something else."""
    if not values or not all(type(value) in (int, float) for value in values):
        return None
    return sum(map(_float, values)) / len(values)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


__all__ = ["STATS", "BadRow", "Keys", "Look", "Stats", "Valid"]
