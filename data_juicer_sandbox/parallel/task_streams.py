"""What a task reports while it runs, read by the run: metrics, warnings, progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.files import open_regular
from data_juicer_sandbox.parallel.tasks import METRICS, PROGRESS, WARNINGS
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.types import JsonValue, Metrics
from data_juicer_sandbox.watchers.base import from_json

_LEVELS = ("WARNING", "ERROR", "CRITICAL")
MAX_PROGRESS = 1 << 16
"""The largest progress file that is read, in bytes."""

Forward = Callable[[Metrics, int | None, float], None]
"""Takes values, their step, and when they were recorded."""


class TaskStreams:
    """Reads what one attempt of a task appends to the files in its folder.

    Args:
        folder: the folder of the task.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._positions = {METRICS: (0, 0), WARNINGS: (0, 0)}
        """For each file its inode, and the bytes that were read."""

    def forward(self, label: str, forward: Forward) -> None:
        """Pass on the metrics and warnings that were added since the last call.

        Args:
            label: the job, for the log.
            forward: receives the metrics.
        """
        records = [line for line in self._new_lines(METRICS) if isinstance(line.get("name"), str)]
        for (time, step, job), group in groupby(records, lambda line: (line["time"], line.get("step"), line["job"])):
            # The name is `<job>.<key>`.
            forward({line["name"][len(job) + 1 :]: from_json(line["value"]) for line in group}, step, time)
        for line in self._new_lines(WARNINGS):
            if line.get("level") in _LEVELS:
                with logger.contextualize(job=label):
                    logger.opt(depth=1).log(line["level"], "{}", line.get("message"))

    def progress(self) -> dict[str, JsonValue]:
        """How far the task is: `text`, `completed`, `total`, `note`; empty if it has not said."""
        try:
            with open_regular(self._folder / PROGRESS) as stream:
                state = loads(stream.read(MAX_PROGRESS))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _new_lines(self, name: str) -> Iterator[dict[str, JsonValue]]:
        """The whole lines that were added to a file; all of them if the file is another one now: a new attempt."""
        try:
            with open_regular(self._folder / name) as stream:
                inode, position = os.fstat(stream.fileno()).st_ino, self._positions[name]
                stream.seek(position[1] if inode == position[0] else 0)
                lines, _, incomplete = stream.read().rpartition(b"\n")
                self._positions[name] = inode, stream.tell() - len(incomplete)
        except OSError:
            return
        for line in lines.splitlines():
            try:
                value = loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value
