"""The data of a report: the context and metrics of a work directory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from data_juicer_sandbox.config.schema import ANONYMOUS
from data_juicer_sandbox.context.provenance import BOOKKEEPING
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.watchers import local

CONTEXT_FILE = "context_infos.json"
TRIALS, SEARCH, TRIAL_FOLDERS = "trials.csv", "search.json", "trials/*"
TRIAL_METRICS = ("search", "trial")
"""Pipeline and job of the metrics that a search records for each trial."""


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
    """Step and value of every number that was recorded with a step, by key."""

    @property
    def label(self) -> str:
        """As `JobRow.label`."""
        return self.name if self.pipeline == ANONYMOUS else f"{self.pipeline}.{self.name}"


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

    @property
    def title(self) -> str:
        """Project and experiment, or the folder's name where the config is not recorded."""
        names = [str(self.config[key]) for key in ("project_name", "experiment_name") if self.config.get(key)]
        return " / ".join(names) or self.work_dir.resolve().name


def read_run(work_dir: Path) -> RunData:
    """Read a run; what is not there yet is empty.

    Raises:
        WorkDirError: no run has used this folder, or its files cannot be read.
    """
    context, metrics = work_dir / CONTEXT_FILE, work_dir / local.FILE
    if not context.is_file() and not metrics.is_file():
        raise WorkDirError("no run has used this folder", where=str(work_dir), hint=f"a folder with {CONTEXT_FILE}")
    return RunData(
        work_dir=work_dir,
        config=_read_json(work_dir / local.CONFIG_FILE),
        jobs=list(_jobs(_read_json(context))),
        measured=_measured(metrics),
        search=_search(work_dir),
    )


def _search(work_dir: Path) -> Search | None:
    """The search of a run; None if it has none."""
    table = work_dir / TRIALS
    if not table.is_file():
        return None
    with table.open(newline="", encoding="utf-8", errors="replace") as stream:
        trials = list(csv.DictReader(stream))
    summary = _read_json(work_dir / SEARCH)
    goals = {str(entry["name"]): str(entry["goal"]) for entry in summary.get("metrics", [])}
    shared = {(job.pipeline, job.name, job.job.get("phase")) for job in _jobs(_read_json(work_dir / CONTEXT_FILE))}
    jobs = [
        job
        for file in work_dir.glob(f"{TRIAL_FOLDERS}/{CONTEXT_FILE}")
        for job in _jobs(_read_json(file))
        if (job.pipeline, job.name, job.job.get("phase")) not in shared and job.job.get("status") == "done"
    ]
    return Search(
        trials=trials,
        best=[str(number) for number in summary.get("best", [])],
        metrics=goals,
        reason=summary.get("reason"),
        done=len(jobs),
        seconds=sum(float(job.job.get("seconds") or 0) for job in jobs),
    )


def _jobs(context: dict[str, JsonValue]) -> Iterator[JobRow]:
    for number, iteration in enumerate(context.get("iterations", []), 1):
        for pipeline, records in iteration.items():
            for record in records:
                outputs = {key: value for key, value in record.items() if key not in ("meta_name", BOOKKEEPING)}
                yield JobRow(number, pipeline, record["meta_name"], mask(outputs), mask(record.get(BOOKKEEPING, {})))


def _measured(path: Path) -> list[Measured]:
    measured: dict[tuple[str, str], Measured] = {}
    restarted: set[tuple[str, str]] = set()
    for record in local.read(path):
        key = (record["pipeline"], record["job"])
        if "name" not in record:
            restarted.add(key)
            continue
        if key in restarted or key not in measured:
            restarted.discard(key)
            measured[key] = Measured(*key)
        name, value = record["name"][len(record["job"]) + 1 :], record["value"]
        measured[key].last[name] = value
        if "step" in record and isinstance(value, (int, float)) and not isinstance(value, bool):
            measured[key].series.setdefault(name, []).append((record["step"], value))
    return list(measured.values())


def _read_json(path: Path) -> dict[str, JsonValue]:
    if not path.is_file():
        return {}
    try:
        value = loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkDirError(f"not JSON: {error}", where=str(path)) from error
    return value if isinstance(value, dict) else {}
