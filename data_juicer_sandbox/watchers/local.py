"""The tracker that every run has: `<work_dir>/metrics.jsonl`, one JSON object per line.

A value: {"time", "iteration"? (from the second on), "pipeline", "job", "name": "<job>.<key>", "value", "step"?}. The
start of a job's attempt: {"time", "iteration"?, "pipeline", "job", "event": "start", "config"?}.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from data_juicer_sandbox.files import open_append, refuse_special, replacing
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.types import JsonValue, Metrics
from data_juicer_sandbox.watchers.base import RunInfo, Tracker, from_json, to_json

FILE = "metrics.jsonl"
CONFIG_FILE = "config.json"
MAX_TIME = 9e9
"""Seconds since the epoch, in the year 2255: pandas has no later times."""


class LocalTracker(Tracker):
    """Appends to `metrics.jsonl`, and writes the masked config of the run to `config.json`."""

    def __init__(self, run: RunInfo):
        super().__init__(run)
        self.path = run.work_dir / FILE
        self._lock = threading.Lock()
        self._unsynced = False
        self._pass: dict[str, int] = {}
        if not run.resume:
            _move_aside(self.path)
        repair(self.path)
        with replacing(run.work_dir / CONFIG_FILE) as part:
            text = json.dumps(_strict(run.config), indent=2, ensure_ascii=False, default=str) + "\n"
            part.write_text(text, encoding="utf-8", errors="backslashreplace")  # half of a surrogate pair
        self._stream = open_append(self.path)  # unbuffered, so that each line is in the file at once

    def start(self, pipeline: str, job: str, config: Mapping[str, object] | None, time: float) -> None:
        """Mark the start of an attempt."""
        line: dict[str, JsonValue] = {"time": time, **self._pass, "pipeline": pipeline, "job": job, "event": "start"}
        self._append([line if config is None else {**line, "config": _strict(config)}])

    def watch(self, pipeline: str, job: str, values: Mapping[str, object], step: int | None, time: float) -> None:
        """Append one line per value."""
        step_field = {} if step is None else {"step": step}
        head = {"time": time, **self._pass, "pipeline": pipeline, "job": job}
        self._unsynced = True
        self._append(
            [{**head, "name": f"{job}.{key}", "value": to_json(value), **step_field} for key, value in values.items()]
        )

    def turn_to(self, iteration: int) -> None:
        """Add the iteration to the following records, from the second iteration on."""
        self._pass = {"iteration": iteration} if iteration > 1 or self._pass else {}

    def sync(self) -> None:
        """Wait until all values are on the disk; start markers alone do not need it."""
        if self._unsynced:
            os.fsync(self._stream.fileno())
            self._unsynced = False

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _append(self, lines: list[dict[str, object]]) -> None:
        data = memoryview("".join(json.dumps(line, allow_nan=False, default=str) + "\n" for line in lines).encode())
        with self._lock:
            while data:
                data = data[self._stream.write(data) :]


class Record(msgspec.Struct, gc=False):
    """A line of `metrics.jsonl`: a value, or the start of a job's attempt.

    Args:
        pipeline: the pipeline of the job.
        job: its `meta_name`.
        name: `<job>.<key>`; None for the start of an attempt.
        value: the value, NaN and infinities as floats.
        step: the step of the value, if it has one.
        iteration: the iteration, from 1.
        time: seconds since the epoch.
    """

    pipeline: str
    job: str
    name: str | None = None
    value: bool | int | float | str | None = None
    step: Annotated[int, msgspec.Meta(gt=-(2**62), lt=2**62)] | None = None
    iteration: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] = 1
    time: Annotated[float, msgspec.Meta(ge=0, lt=MAX_TIME)] | None = None

    @property
    def key(self) -> str:
        """The key under which the job watched the value; empty for the start of an attempt."""
        return "" if self.name is None else self.name[len(self.job) + 1 :]


def read(path: Path, *, containing: bytes = b"", bad_line: Callable[[], None] = lambda: None) -> Iterator[Record]:
    """The records of a `metrics.jsonl`. Lines that hold no record, such as an incomplete last one, are skipped.

    Args:
        path: the file; if it does not exist, there are no records.
        containing: parse only lines that contain these bytes, which is much faster than parsing all.
        bad_line: called for each skipped line.
    """
    if not path.is_file():
        return
    with path.open("rb") as stream:
        for line in stream:
            if containing not in line:
                continue
            try:
                record = _decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                try:
                    record = msgspec.convert(loads(line), Record)  # half of a surrogate pair, NaN
                except (msgspec.MsgspecError, ValueError, RecursionError):
                    bad_line()
                    continue
            if record.name is not None:
                if not record.name.startswith(record.job + "."):
                    bad_line()
                    continue
                record.value = from_json(record.value)
            yield record


_decode = msgspec.json.Decoder(Record).decode


def last_values(path: Path, job: str, pipeline: str | None = None) -> Metrics:
    """The last value of every key that the latest attempt of a job watched; attempts that watched nothing do not count.

    Args:
        path: a `metrics.jsonl`.
        job: the job's `meta_name`.
        pipeline: its pipeline; None: the latest attempt in any pipeline.
    """
    records = (
        record
        for record in read(path, containing=f'"job": {json.dumps(job)}'.encode())
        if record.job == job and pipeline in (None, record.pipeline)
    )
    return next(reversed(latest_attempts(records).values()), {})


def latest_attempts(records: Iterable[Record]) -> dict[tuple[str, str], Metrics]:
    """The last value of every key that the latest attempt of each job watched, by pipeline and `meta_name`.

    The attempt that began last comes last; attempts that watched nothing do not count.
    """
    attempts: dict[tuple[str, str], Metrics] = {}
    restarted: set[tuple[str, str]] = set()
    for record in records:
        job = (record.pipeline, record.job)
        if record.name is None:
            restarted.add(job)
            continue
        if job in restarted or job not in attempts:
            restarted.discard(job)
            attempts.pop(job, None)
            attempts[job] = {}
        attempts[job][record.key] = record.value
    return attempts


def repair(path: Path) -> None:
    """Remove an incomplete last line, as a `kill -9` or a full disk leaves it."""
    refuse_special(path)
    if not path.is_file():
        return
    with path.open("r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        keep = end
        while keep:
            begin = max(0, keep - 65536)
            stream.seek(begin)
            newline = stream.read(keep - begin).rfind(b"\n")
            if newline >= 0:
                keep = begin + newline + 1
                break
            keep = begin
        if keep < end:
            stream.truncate(keep)


def _strict(value: object) -> JsonValue:
    """A config as strict JSON has it: `.nan` and `.inf` in it become strings."""
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, (str, int, type(None))) else str(key): _strict(item) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return to_json(value)


def _move_aside(path: Path) -> None:
    if path.is_file() and path.stat().st_size:
        stamp = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y%m%d-%H%M%S-%f")
        path.rename(path.with_name(f"{path.stem}.{stamp}{path.suffix}"))
