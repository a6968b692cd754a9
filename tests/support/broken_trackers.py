"""Trackers that are wrong in one way each; tests/testing checks that the checks notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

from data_juicer_sandbox.watchers.base import Tracker


class GoodTracker(Tracker):
    """Write JSON lines."""

    def __init__(self, run: Any):
        super().__init__(run)
        self.path = run.work_dir / "good.txt"

    def add(self, *record: Any) -> None:
        with self.path.open("a") as stream:
            stream.write(json.dumps(record) + "\n")

    def start(self, pipeline: str, job: str, config: Any, time: float) -> None:
        self.add(pipeline, job, config)

    def watch(self, pipeline: str, job: str, values: Any, step: int | None, time: float) -> None:
        self.add(pipeline, job, values, step)


class NoTracker:
    """Track without the base class."""

    def __init__(self, run: Any):
        self.tracker = GoodTracker(run)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tracker, name)


class EagerTracker(GoodTracker):
    """Start a program in the constructor."""

    def __init__(self, run: Any):
        super().__init__(run)
        subprocess.run(["true"], check=True)


class StrictTracker(GoodTracker):
    """Refuse NaN."""

    def watch(self, pipeline: str, job: str, values: Any, step: int | None, time: float) -> None:
        json.dumps(values, allow_nan=False)
        super().watch(pipeline, job, values, step, time)


class ClosesOnce(GoodTracker):
    """Fail in a second call of `close`."""

    def close(self) -> None:
        del self.path


class LateTracker(GoodTracker):
    """Store in `close` only."""

    def __init__(self, run: Any):
        super().__init__(run)
        self.records: list[Any] = []

    def add(self, *record: Any) -> None:
        self.records.append(record)

    def close(self) -> None:
        with self.path.open("a") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in self.records)
        self.records = []


class Overwrites(GoodTracker):
    """Begin anew in a resumed run."""

    def __init__(self, run: Any):
        super().__init__(run)
        self.path.write_text("")


class StoresEnvironment(GoodTracker):
    """Store the environment."""

    def start(self, pipeline: str, job: str, config: Any, time: float) -> None:
        self.add(dict(os.environ))


class EndsProcess(GoodTracker):
    """End the process if it cannot write."""

    def add(self, *record: Any) -> None:
        try:
            super().add(*record)
        except OSError:
            sys.exit("cannot write")


class LeavesThreads(GoodTracker):
    """Leave a thread running."""

    def close(self) -> None:
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
