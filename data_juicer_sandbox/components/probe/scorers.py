"""`RowScorer`: the interface of models that score rows, and helpers for its implementations."""

from __future__ import annotations

import math
from typing import Any, Protocol

from data_juicer_sandbox.errors import JobError

Row = dict[str, Any]
Feedback = dict[str, Any]


class RowScorer(Protocol):
    """A model that gives feedback on rows."""

    def score(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row, in order."""


def text_of(row: Row, key: str) -> str:
    """The text of a row.

    Raises:
        JobError: the field is missing or not a text.
    """
    text = row.get(key)
    if not isinstance(text, str):
        what = f"is {type(text).__name__}, not text" if key in row else "is missing"
        raise JobError(f"{key!r} {what} in a row", hint=f"text_key; fields of the row: {', '.join(row)}")
    return text


def figure(value: float) -> float | None:
    """Round a number to 6 significant digits, the precision of float32; None if it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def exp(value: float) -> float:
    """Like `math.exp`, but infinite instead of an overflow."""
    return math.exp(value) if value < 700 else math.inf
