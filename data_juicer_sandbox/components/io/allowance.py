"""The number of bad rows that a job tolerates, over all its data sets."""

from __future__ import annotations

import codecs
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io.data_files import COMPRESSED, file_format
from data_juicer_sandbox.components.metric_keys import metric_keys
from data_juicer_sandbox.errors import JobError, Where

BAD_ROWS = metric_keys("bad_rows", requires="skip_bad_rows")
"""The metric of a component with `skip_bad_rows`."""
MAX_NAMED = 20
"""Number of bad rows that the log names; further ones are only counted."""


def document_hint(file: Path) -> str | None:
    """What is right for a file of JSON Lines that holds one JSON list or an object over several lines; None for others.

    To skip bad rows would lose all that such a file holds.
    """
    if file_format(file) != "jsonl" or file.suffix in COMPRESSED:
        return None
    with file.open("rb") as stream:
        start = stream.read(1 << 16).removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"["):
        return f"the file is a JSON list; call it {file.with_suffix('.json').name}"
    if start.startswith(b"{") and start.split(b"\n", 1)[0].strip() == b"{":
        return "the file is a JSON object over several lines; in JSON Lines each row is on one line"
    return None


class Allowance:
    """Bad rows are counted here, and named in the log; one more than is tolerated ends the job.

    A row that is read again is counted and named once, so that a data set can be read in several passes.

    Args:
        rows: the number of bad rows that are tolerated.
        named: whether each is named in the log.

    Attributes:
        skipped: the number of bad rows so far.
    """

    def __init__(self, rows: int = 0, *, named: bool = True):
        self.rows, self.skipped, self._named = rows, 0, named
        self._skipped_rows: set[tuple[Path, int]] = set()

    @property
    def remaining(self) -> int:
        """The number of bad rows that are still tolerated."""
        return self.rows - self.skipped

    def skip(self, file: Path, number: int, reason: object, hint: str | None = None) -> None:
        """Count a bad row.

        Args:
            file: its file.
            number: its line or row.
            reason: what is wrong with it.
            hint: what would be right, if that is known.

        Raises:
            JobError: it is one too many; names file and row.
        """
        if (file, number) in self._skipped_rows:
            return
        if self.remaining <= 0:
            hint = hint or (document_hint(file) if number == 1 else None)
            if not hint:
                exceeded = f"skip_bad_rows: {self.rows} is exceeded"
                hint = exceeded if self.rows else "skip_bad_rows: N tolerates N such rows"
            raise JobError(str(reason), where=Where(str(file), number), hint=hint)
        self.skipped += 1
        self._skipped_rows.add((file, number))
        if self._named and self.skipped <= MAX_NAMED:
            logger.warning("{}:{}: {}: skipped", file, number, reason)

    def add(self, count: int) -> None:
        """Count bad rows that other processes have skipped and named.

        Raises:
            JobError: they are too many.
        """
        if count > self.remaining:
            raise JobError(f"{self.skipped + count:,} rows are bad", hint=f"skip_bad_rows: {self.rows} is exceeded")
        self.skipped += count

    def report(self, job: JobRun) -> None:
        """Log the number of skipped rows and report it as the metric `bad_rows`, if the job tolerates any."""
        if self.skipped:
            logger.warning("{:,} bad rows were skipped, of {:,} allowed", self.skipped, self.rows)
        if self.rows:
            job.watcher.watch({"bad_rows": self.skipped})
