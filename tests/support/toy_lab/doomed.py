"""Runs `dj-sandbox` in this process and kills it (SIGKILL) at a chosen point of its n-th checkpoint.

Usage: python -m toy_lab.doomed POINT N ARGUMENTS...   with POINT one of before, between, after.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.context.checkpoint import NAME, Checkpoint


def arm(point: str, n: int) -> None:
    write, replace, count = Checkpoint.write, Path.replace, 0

    def counted_write(self: Checkpoint, context: object) -> None:
        nonlocal count
        count += 1
        if point == "before" and count == n:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, context)  # type: ignore[arg-type]
        if point == "after" and count == n:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched_replace(self: Path, target: Path) -> Path:
        if point == "between" and count == n and Path(target).name == NAME:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Checkpoint.write, Path.replace = counted_write, watched_replace  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
