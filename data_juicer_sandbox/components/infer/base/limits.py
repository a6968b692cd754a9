"""Tolerated number of failures."""

from __future__ import annotations

from data_juicer_sandbox.components.infer.base.types import Failure
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import shorten

FIRST_FAILURES = 100
"""If the first so many requests all fail, the job ends: the cause affects all of them."""


class FailureLimit:
    """Ends the job if a data set has too many failures.

    Args:
        most: tolerated failures: a fraction if below 1, else a count; None: fail only if every row failed.
        rows: number of rows.
    """

    def __init__(self, most: float | None, rows: int):
        self._rows, self._most = rows, most
        self._allowed = rows if most is None else most * rows if 0 < most < 1 else most
        self._request_failures, self._any_completed = 0, False
        self._last: Failure | None = None

    def judge(self, failure: Failure | None, failed: int) -> None:
        """Check the limit after a result.

        Args:
            failure: the failure; None for a completion.
            failed: number of failed rows so far.

        Raises:
            JobError: there are too many failures.
        """
        if failure is None:
            self._any_completed = True
            return
        self._last = failure
        if failure.category != "row":  # a row without a prompt says nothing about the model
            self._request_failures += 1
        if not self._any_completed and self._request_failures >= FIRST_FAILURES:
            raise JobError(
                f"the first {self._request_failures:,} requests all failed; the last: {failure_text(failure)}"
            )
        self._judge_number(failed)

    def judge_all(self, failed: int) -> None:
        """Check the limit after the last result.

        Raises:
            JobError: every row or too many rows failed.
        """
        if failed == self._rows:
            last = f"; the last: {failure_text(self._last)}" if self._last else ""
            raise JobError(f"all {self._rows:,} rows failed{last}")
        self._judge_number(failed)

    def _judge_number(self, failed: int) -> None:
        if self._most is not None and failed > self._allowed:
            last = f"; the last: {failure_text(self._last)}" if self._last else ""
            raise JobError(f"{failed:,} of {self._rows:,} rows failed, more than max_failures: {self._most}{last}")


def check_limit(most: float | None) -> None:
    """Check the value of `max_failures`.

    Raises:
        ConfigError: it is neither a fraction nor a count.
    """
    if most is not None and (most < 0 or (most > 1 and most != int(most))):
        raise ConfigError(f"max_failures {most}: expected a fraction below 1 or a number of rows")


def failure_text(failure: Failure) -> str:
    """A failure as one line."""
    return f"{failure.category}: {shorten(failure.message, 300)}"
