"""The data of a report: the context and metrics of a work directory."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from data_juicer_sandbox.config.schema import ANONYMOUS
from data_juicer_sandbox.context.checkpoint import READABLE, Checkpoint
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.context.provenance import BOOKKEEPING
from data_juicer_sandbox.context.readable import to_json_value
from data_juicer_sandbox.engine.run_file import FILE as RUN_FILE
from data_juicer_sandbox.errors import CheckpointError, WorkDirError
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.report.plots import LARGEST, thin
from data_juicer_sandbox.secrets import mask, mask_known
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.watchers import local

CONTEXT_FILE = READABLE
TRIALS, SEARCH, TRIAL_FOLDERS = "trials.csv", "search.json", "trials/*"
TRIAL_METRICS = ("search", "trial")
"""Pipeline and job of the metrics that a search records for each trial."""
MAX_POINTS = 4000
"""Points of a series that are kept at least; a plot shows some hundred of them."""
_NUMBERS = ("started", "ended", "seconds")


@dataclass
class JobRow:
    """One record of the context."""

    iteration: int
    """Counted from 1."""
    pipeline: str
    name: str
    outputs: dict[str, JsonValue]
    job: dict[str, JsonValue]
    """Hook, phase, status, started, ended, seconds, error."""

    @property
    def label(self) -> str:
        """`<pipeline>.<meta_name>`; the one pipeline without a name is left out."""
        return self.name if self.pipeline == ANONYMOUS else f"{self.pipeline}.{self.name}"


@dataclass
class Measured:
    """Metrics that the latest attempt of a job recorded."""

    pipeline: str
    name: str
    last: dict[str, JsonValue] = field(default_factory=dict)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Step and value of the numbers that were recorded with a step, by key. Of a long series, the lowest and the
    highest of each stretch.
    """

    @property
    def label(self) -> str:
        """As `JobRow.label`."""
        return self.name if self.pipeline == ANONYMOUS else f"{self.pipeline}.{self.name}"

    def add(self, name: str, value: JsonValue, step: int | None) -> None:
        """Record a value."""
        self.last[name] = value
        if step is not None and type(value) in (int, float) and -LARGEST <= value <= LARGEST:
            points = self.series.setdefault(name, [])
            points.append((step, value))
            if len(points) >= 2 * MAX_POINTS:
                points[:] = thin(points, MAX_POINTS)


@dataclass
class Search:
    """The trials of a search.

    Args:
        trials: the rows of `trials.csv`.
        best: the numbers of the best trials.
        metrics: for each metric its goal, `minimize` or `maximize`.
        reason: why the search ended; None while it runs.
        done: jobs that finished in all trials, without those that trials share.
        seconds: their duration.
    """

    trials: list[dict[str, str]]
    best: list[str]
    metrics: dict[str, str]
    reason: str | None
    done: int
    seconds: float


@dataclass
class RunData:
    """A run as it lies on disk."""

    work_dir: Path
    config: dict[str, JsonValue]
    jobs: list[JobRow]
    measured: list[Measured]
    search: Search | None = None
    run: dict[str, JsonValue] = field(default_factory=dict)
    """What `run.json` says about the last run; empty for a run of an earlier version."""
    faults: list[str] = field(default_factory=list)
    """What could not be read of the files of the run, one sentence each."""

    @property
    def title(self) -> str:
        """Project and experiment, or the folder's name where the config is not recorded."""
        names = [str(self.config[key]) for key in ("project_name", "experiment_name") if self.config.get(key)]
        return " / ".join(names) or self.work_dir.resolve().name


def read_run(work_dir: Path) -> RunData:
    """Read a run; what is not there yet is empty. What is damaged is left out, and reported in `faults`.

    Raises:
        WorkDirError: no run has used this folder.
    """
    context, metrics = work_dir / CONTEXT_FILE, work_dir / local.FILE
    checkpoint = Checkpoint(work_dir)
    if not context.is_file() and not metrics.is_file() and not checkpoint.exists():
        raise WorkDirError("no run has used this folder", where=str(work_dir), hint=f"a folder with {CONTEXT_FILE}")
    faults: list[str] = []
    config = _read_json(work_dir / local.CONFIG_FILE, faults) or {}
    jobs = _jobs(checkpoint, faults)
    measured = _measured(metrics, faults)
    last_run = _read_json(work_dir / RUN_FILE, faults) or {}
    return RunData(work_dir, config, jobs, measured, _search(work_dir, jobs, faults), last_run, faults)


def _search(work_dir: Path, jobs: list[JobRow], faults: list[str]) -> Search | None:
    """The search of a run; None if it has none."""
    table = work_dir / TRIALS
    if not table.is_file():
        return None
    with table.open(newline="", encoding="utf-8", errors="replace") as stream:
        trials = list(csv.DictReader(stream))
    summary = _read_json(work_dir / SEARCH, faults) or {}
    try:
        goals = {str(entry["name"]): str(entry["goal"]) for entry in summary.get("metrics", [])}
        best = [str(number) for number in summary.get("best", [])]
    except (TypeError, KeyError):
        faults.append(f"{SEARCH} is damaged: its metrics or best trials have another form")
        goals, best = {}, []
    shared = {(job.pipeline, job.name, job.job.get("phase")) for job in jobs}
    trial_jobs = [
        job
        for file in work_dir.glob(f"{TRIAL_FOLDERS}/{CONTEXT_FILE}")
        for job in _jobs(Checkpoint(file.parent), faults)
        if (job.pipeline, job.name, job.job.get("phase")) not in shared and job.job.get("status") == "done"
    ]
    return Search(
        trials=trials,
        best=best,
        metrics=goals,
        reason=summary.get("reason"),
        done=len(trial_jobs),
        seconds=sum(float(job.job.get("seconds") or 0) for job in trial_jobs),
    )


def _jobs(checkpoint: Checkpoint, faults: list[str]) -> list[JobRow]:
    """The records of the readable copy and of the journal; of the checkpoint, where the copy is damaged or missing."""
    content = _read_json(checkpoint.readable, faults)
    rows: dict[tuple[int, str, str, str], JobRow] = {}

    def add(row: JobRow) -> None:
        rows[row.iteration, row.pipeline, str(row.job.get("phase")), row.name] = row

    try:
        if content is None and checkpoint.exists():
            for number, iteration in enumerate(checkpoint.read().iterations, 1):
                for pipeline, records in iteration.items():
                    for record in records.values():
                        add(_row_of_record(number, pipeline, record))
        else:
            for row in _rows(content or {}, faults):
                add(row)
            for entry in checkpoint.journal_entries():
                add(_row_of_record(entry.iteration + 1, entry.pipeline, entry.record))
    except CheckpointError as error:
        faults.append(f"{error.what} ({error.where})")
    return list(rows.values())


def _row_of_record(number: int, pipeline: str, record: JobRecord) -> JobRow:
    plain = mask_known(to_json_value(record.plain(trace=False)))
    return _row(number, pipeline, plain)


def _row(number: int, pipeline: str, record: JsonValue) -> JobRow:
    outputs = {key: value for key, value in record.items() if key not in ("meta_name", BOOKKEEPING)}
    metadata = record.get(BOOKKEEPING, {})
    if not isinstance(record["meta_name"], str) or not isinstance(metadata, dict):
        raise TypeError
    for key in _NUMBERS:
        if not _is_time(metadata.get(key)):
            raise ValueError(key)
    return JobRow(number, pipeline, record["meta_name"], mask(outputs), mask(metadata))


def _is_time(value: object) -> bool:
    if value is None:
        return True
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < local.MAX_TIME  # type: ignore[arg-type]


def _rows(content: dict[str, JsonValue], faults: list[str]) -> Iterator[JobRow]:
    """The rows of a readable copy; records of another shape are counted."""
    n_bad = 0
    iterations = content.get("iterations", [])
    for number, iteration in enumerate(iterations if isinstance(iterations, list) else [None], 1):
        if not isinstance(iteration, dict):
            n_bad += 1
            continue
        for pipeline, records in iteration.items():
            for record in records if isinstance(records, list) else [None]:
                try:
                    yield _row(number, pipeline, record)
                except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
                    n_bad += 1
    if n_bad:
        faults.append(f"{CONTEXT_FILE}: {_count(n_bad, 'damaged record')}")


def _measured(path: Path, faults: list[str]) -> list[Measured]:
    measured: dict[tuple[str, str], Measured] = {}
    restarted: set[tuple[str, str]] = set()
    n_bad = 0

    def bad_line() -> None:
        nonlocal n_bad
        n_bad += 1

    for record in local.read(path, bad_line=bad_line):
        key = (record.pipeline, record.job)
        if record.name is None:
            restarted.add(key)
            continue
        if key in restarted or key not in measured:
            restarted.discard(key)
            measured[key] = Measured(*key)
        measured[key].add(record.key, record.value, record.step)
    if n_bad:
        faults.append(f"{path.name}: {_count(n_bad, 'damaged line')}")
    return list(measured.values())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s'[: number != 1]} skipped"


def _read_json(path: Path, faults: list[str]) -> dict[str, JsonValue] | None:
    """The mapping in a JSON file; None if it does not exist, or is damaged."""
    if not path.is_file():
        return None
    try:
        value = loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        faults.append(f"{path.name} is damaged: {error}")
        return None
    if not isinstance(value, dict):
        faults.append(f"{path.name} is damaged: it does not hold a mapping")
        return None
    return value
