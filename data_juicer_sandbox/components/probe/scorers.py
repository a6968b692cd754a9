"""What a model says of a row, as numbers."""

from __future__ import annotations

import math
from typing import Any, Protocol

from data_juicer_sandbox.errors import JobError

Row = dict[str, Any]
Feedback = dict[str, Any]


class RowScorer(Protocol):
    """A model with the question that it is asked."""

    def say(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row, in order."""


def text_of(row: Row, key: str) -> str:
    """The text of a row.

    Raises:
        JobError: there is none.
    """
    text = row.get(key)
    if not isinstance(text, str):
        what = f"is {type(text).__name__}, not text" if key in row else "is missing"
        raise JobError(f"{key!r} {what} in a row", hint=f"text_key; fields there: {', '.join(row)}")
    return text


def figure(value: float) -> float | None:
    """A number as it is written: 6 digits, what float32 arithmetic is good for; None where it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def exp(value: float) -> float:
    """As `math.exp`, infinite where that overflows."""
    return math.exp(value) if value < 700 else math.inf
