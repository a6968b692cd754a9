"""When failures are too many to go on."""

from __future__ import annotations

from data_juicer_sandbox.components.infer.base.types import Failure
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import shorten

HOPELESS = 100
"""So many answers that all fail, from the first one on, and the job ends: something is wrong with all of them."""


class FailureLimit:
    """Watches the failures of one data set.

    Args:
        most: more failed rows than this fail the job: a share of all rows if below 1, else their number; None for as
            many as there are, but for one.
        rows: all rows.
    """

    def __init__(self, most: float | None, rows: int):
        self._rows, self._most = rows, most
        self._allowed = rows if most is None else most * rows if 0 < most < 1 else most
        self._in_vain, self._hopeful = 0, False
        self._last: Failure | None = None

    def judge(self, failure: Failure | None, failed: int) -> None:
        """Look at an outcome.

        Args:
            failure: the failure, if it is one.
            failed: rows that have failed so far.

        Raises:
            JobError: there are too many.
        """
        if failure is None:
            self._hopeful = True
            return
        self._last = failure
        if failure.kind != "row":  # a row that makes no question tells nothing of the model
            self._in_vain += 1
        if not self._hopeful and self._in_vain >= HOPELESS:
            raise JobError(f"the first {self._in_vain:,} answers all failed; the last: {told(failure)}")
        self._judge_number(failed)

    def judge_all(self, failed: int) -> None:
        """Look at all outcomes together.

        Raises:
            JobError: every row failed, or too many.
        """
        if failed == self._rows:
            last = f"; the last: {told(self._last)}" if self._last else ""
            raise JobError(f"all {self._rows:,} rows failed{last}")
        self._judge_number(failed)

    def _judge_number(self, failed: int) -> None:
        if self._most is not None and failed > self._allowed:
            last = f"; the last: {told(self._last)}" if self._last else ""
            raise JobError(f"{failed:,} of {self._rows:,} rows failed, more than max_failures: {self._most}{last}")


def check_limit(most: float | None) -> None:
    """Refuse what is neither share nor number.

    Raises:
        ConfigError: it is not.
    """
    if most is not None and (most < 0 or (most > 1 and most != int(most))):
        raise ConfigError(f"max_failures {most} is neither a share below 1 nor a number of rows")


def told(failure: Failure) -> str:
    """A failure in a line."""
    return f"{failure.kind}: {shorten(failure.message, 300)}"
