"""`RowScorer`: the interface of models that score rows, and helpers for its implementations."""

from __future__ import annotations

import math
from typing import Any, Protocol

Row = dict[str, Any]
Feedback = dict[str, Any]


class RowScorer(Protocol):
    """A model that gives feedback on rows."""

    def score(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row, in order."""


def figure(value: float) -> float | None:
    """Round a number to 6 significant digits, the precision of float32; None if it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def exp(value: float) -> float:
    """Like `math.exp`, but infinite instead of an overflow."""
    return math.exp(value) if value < 700 else math.inf
