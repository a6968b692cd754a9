"""Progress, speed and cost of an inference."""

from __future__ import annotations

import time
from collections.abc import Mapping

from data_juicer_sandbox.components.base import Task
from data_juicer_sandbox.components.infer.base.journal import Journal
from data_juicer_sandbox.types import Metrics

_EVERY = 0.2
"""Minimum seconds between two updates of the progress bar."""


class Throughput:
    """Measures the inference of one data set.

    Args:
        task: the progress bar.
        journal: the journal of results.
        price: price per million tokens in any currency, `input` and `output`.
    """

    def __init__(self, task: Task, journal: Journal, price: Mapping[str, float] | None):
        self._task, self._journal, self._price = task, journal, price
        self._started = time.monotonic()
        self._shown = -1.0
        self._tokens_before = journal.completion_tokens
        self._rows_shown = 0
        self.rows = 0

    def row(self) -> None:
        """Count a finished row."""
        self.rows += 1
        if time.monotonic() - self._shown >= _EVERY:
            self.show()

    def show(self) -> None:
        """Update the progress bar and its note."""
        self._task.advance(self.rows - self._rows_shown)
        self._rows_shown = self.rows
        seconds = max(time.monotonic() - self._started, 1e-9)
        tokens = self._journal.completion_tokens - self._tokens_before
        failed = f", {self._journal.failed:,} failed" if self._journal.failed else ""
        self._task.update(note=f"{self.rows / seconds:,.1f} rows/s, {tokens / seconds:,.0f} tokens/s{failed}")
        self._shown = time.monotonic()

    def metrics(self) -> Metrics:
        """Totals of the whole file, and the speed of this run."""
        journal = self._journal
        seconds = max(time.monotonic() - self._started, 1e-9)
        return {
            "rows": len(journal),
            "failed": journal.failed,
            "kept": journal.kept,
            "prompt_tokens": journal.prompt_tokens,
            "completion_tokens": journal.completion_tokens,
            "seconds": seconds,
            "rows_per_second": self.rows / seconds,
            "tokens_per_second": (journal.completion_tokens - self._tokens_before) / seconds,
            **self._cost(),
        }

    def _cost(self) -> dict[str, float]:
        if self._price is None:
            return {}
        journal, price = self._journal, self._price
        total = journal.prompt_tokens * price.get("input", 0) + journal.completion_tokens * price.get("output", 0)
        return {"cost": total / 1e6}
