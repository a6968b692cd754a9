"""Feedback by a function of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

from data_juicer_sandbox.components.probe.scorers import Feedback, Row, figure
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import shown


class ScoreJudge:
    """What a function makes of the rows, with the model at hand.

    Args:
        function: takes a list of rows, the model and its tokenizer, and gives for each row a number, a mapping of
            numbers and texts, or None where it has nothing to say.
        name: what the function is called in errors.
        model: the model.
        tokenizer: its tokenizer.
    """

    def __init__(self, function: Callable[..., Any], name: str, model: Any, tokenizer: Any):
        self.function, self.name, self.model, self.tokenizer = function, name, model, tokenizer

    def say(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row; of a number, `score`.

        Raises:
            JobError: the function gave something else.
        """
        given = self.function(rows, self.model, self.tokenizer)
        if not isinstance(given, list | tuple) or len(given) != len(rows):
            what = f"{len(given)} results" if isinstance(given, list | tuple) else f"a {type(given).__name__}"
            raise JobError(f"{self.name} gave {what} for {len(rows)} rows", hint="a list with one result for each row")
        return [self._feedback(one) for one in given]

    def _feedback(self, said: Any) -> Feedback:
        if said is None or _is_number(said):
            return {"score": None if said is None else figure(float(said))}
        if isinstance(said, dict) and all(
            isinstance(key, str) and (value is None or isinstance(value, str | bool) or _is_number(value))
            for key, value in said.items()
        ):
            return {key: figure(float(value)) if _is_number(value) else value for key, value in said.items()}
        hint = "a number, a mapping of numbers and texts, or None"
        raise JobError(f"{self.name} gave {shown(said, 80)} for a row", hint=hint)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
