"""`RowScorer`: the interface of models that score rows; `FunctionScorer`: a function of the user."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, Protocol

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import LibraryObject, Metrics, Row

Feedback = Metrics


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


class FunctionScorer:
    """Scores rows with a function that also receives the model.

    Args:
        function: takes a list of rows, the model and its tokenizer, and returns for each row a number, a mapping of
            numbers and texts, or None for no feedback.
        name: the function's name in error messages.
        model: the model.
        tokenizer: its tokenizer.
    """

    def __init__(self, function: Callable[..., object], name: str, model: LibraryObject, tokenizer: LibraryObject):
        self.function, self.name, self.model, self.tokenizer = function, name, model, tokenizer

    def score(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row; a number becomes `score`.

        Raises:
            JobError: the function returned something else.
        """
        results = self.function(rows, self.model, self.tokenizer)
        if not isinstance(results, list | tuple) or len(results) != len(rows):
            what = f"{len(results)} results" if isinstance(results, list | tuple) else f"a {type(results).__name__}"
            raise JobError(
                f"{self.name} returned {what} for {len(rows)} rows", hint="a list with one result for each row"
            )
        return [self._feedback(result) for result in results]

    def _feedback(self, result: Any) -> Feedback:
        if result is None or _is_number(result):
            return {"score": None if result is None else figure(float(result))}
        if isinstance(result, dict) and all(
            isinstance(key, str) and (value is None or isinstance(value, str | bool) or _is_number(value))
            for key, value in result.items()
        ):
            return {key: figure(float(value)) if _is_number(value) else value for key, value in result.items()}
        hint = "a number, a mapping of numbers and texts, or None"
        raise JobError(f"{self.name} returned {shown(result, 80)} for a row", hint=hint)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
