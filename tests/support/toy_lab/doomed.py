"""Runs `dj-sandbox` in this process and kills it (SIGKILL) at a chosen point of the n-th saving of a record.

Usage: python -m toy_lab.doomed POINT N ARGUMENTS...   with POINT one of before, between, after, journal, torn. The last
two save all records but the first in the journal: `journal` kills after the n-th record, `torn` in the middle of it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.context import checkpoint as checkpoints
from data_juicer_sandbox.context.checkpoint import NAME, Checkpoint
from data_juicer_sandbox.context.journal import Journal


def arm(point: str, n: int) -> None:
    write, append, replace, count = Checkpoint.write, Journal.append, Path.replace, 0
    if point in ("journal", "torn"):
        checkpoints.WRITING_SHARE = 0
    else:
        Checkpoint.is_due = lambda self, context: True  # type: ignore[method-assign]

    def save(write_record: object, *arguments: object) -> None:
        nonlocal count
        count += 1
        if point == "before" and count == n:
            os.kill(os.getpid(), signal.SIGKILL)
        write_record(*arguments)  # type: ignore[operator]
        if point in ("after", "journal") and count == n:
            os.kill(os.getpid(), signal.SIGKILL)

    def torn_append(self: Journal, base: str, entry: bytes) -> None:
        if point == "torn" and count == n:
            append(self, base, entry[: 5 * len(entry) // 7])
            os.kill(os.getpid(), signal.SIGKILL)
        append(self, base, entry)

    def watched_replace(self: Path, target: Path) -> Path:
        if point in ("between", "torn") and count == n and Path(target).name == NAME:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Checkpoint.write = lambda *arguments: save(write, *arguments)  # type: ignore[method-assign]
    Journal.append = lambda *arguments: save(torn_append, *arguments)  # type: ignore[method-assign]
    Path.replace = watched_replace  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
