"""The number of bad rows that a job tolerates, over all its data sets."""

from __future__ import annotations

from pathlib import Path

from loguru import logger

from data_juicer_sandbox.errors import JobError, Where

MAX_NAMED = 20
"""Number of bad rows that the log names; further ones are only counted."""


class Allowance:
    """Bad rows are counted here, and named in the log; one more than is tolerated ends the job.

    Args:
        rows: the number of bad rows that are tolerated.
        named: whether each is named in the log.

    Attributes:
        skipped: the number of bad rows so far.
    """

    def __init__(self, rows: int = 0, *, named: bool = True):
        self.rows, self.skipped, self._named = rows, 0, named

    @property
    def remaining(self) -> int:
        """The number of bad rows that are still tolerated."""
        return self.rows - self.skipped

    def skip(self, file: Path, number: int, reason: object) -> None:
        """Count a bad row.

        Raises:
            JobError: it is one too many; names file and row.
        """
        if self.remaining <= 0:
            hint = f"skip_bad_rows: {self.rows} is exceeded" if self.rows else "skip_bad_rows: N tolerates N such rows"
            raise JobError(str(reason), where=Where(str(file), number), hint=hint)
        self.skipped += 1
        if self._named and self.skipped <= MAX_NAMED:
            logger.warning("{}:{}: {}: skipped", file, number, reason)
