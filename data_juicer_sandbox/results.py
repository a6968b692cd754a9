"""`Results`: the outputs, metrics and jobs of a run as Python objects; `load_results` reads a work directory."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.engine.conclusions import conclusions, outputs_of, rankings
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.report import REPORT_FILE
from data_juicer_sandbox.types import JsonValue, LibraryObject
from data_juicer_sandbox.watchers import local

if TYPE_CHECKING:
    import pandas as pd

_TRIALS = "trials.csv"
_METRIC_COLUMNS = ("iteration", "pipeline", "job", "name", "step", "value", "time")
_JOB_COLUMNS = ("iteration", "pipeline", "job", "phase", "hook", "status", "seconds", "started", "outputs", "error")


@dataclass(frozen=True, repr=False)
class Results:
    """The results of a run.

    `results["pipeline.job.output"]` is one output; `results["pipeline.job"]` is a mapping of all outputs of a job. A
    config without `pipelines` has one, named `anonymous`. With several iterations this is the latest value.

    Args:
        work_dir: the work directory of the run.
        context: the records of all jobs, of all iterations.
        ran: the labels of the jobs that ran; empty for results that were loaded.
        kept: the labels of the jobs whose earlier results were kept.
        seconds: the duration of the run; 0 for results that were loaded.
        tables: tables of the iterations or of the best trials, as the command line shows them.
        notes: lines that name the files of the run.

    Example:
        >>> import data_juicer_sandbox as dj
        >>> rows = {"type": "inline_rows", "rows": ["a", "b"], "key": "text", "export_path": "rows.jsonl"}
        >>> job = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "output": "path", "extra_configs": rows}
        >>> results = dj.Sandbox({"work_dir": "out", "execution_job_configs": [job]}).run()
        >>> results["anonymous.rows.path"]
        'rows.jsonl'
        >>> list(results.jobs["status"])
        ['done']
    """

    work_dir: Path
    context: ContextInfos
    ran: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    seconds: float = 0.0
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, key: str) -> LibraryObject:
        """The output at `pipeline.job.output`, or a part of it by further dots (`main.eval.scores.0.accuracy`).

        Raises:
            ResolveError: there is no such output; names those that exist.
        """
        return self.context[key]

    def __iter__(self) -> Iterator[str]:
        """The keys of all outputs of the latest iteration, as `pipeline.job.output`."""
        for pipeline, record in self.context.records():
            for name in record.outputs:
                yield f"{pipeline}.{record.meta_name}.{name}"

    @property
    def jobs(self) -> pd.DataFrame:
        """One row for each job of each iteration.

        Columns: iteration (from 1), pipeline, job, phase, hook, status (`done` or `failed`), seconds, started (UTC),
        outputs (a mapping), error (None unless it failed).
        """
        import pandas as pd

        rows = []
        for iteration, pipelines in enumerate(self.context.iterations, 1):
            for pipeline, records in pipelines.items():
                for record in records.values():
                    provenance, started = record.provenance, record.provenance.started
                    rows.append(
                        {
                            "iteration": iteration,
                            "pipeline": pipeline,
                            "job": record.meta_name,
                            "phase": provenance.phase,
                            "hook": provenance.hook,
                            "status": provenance.status,
                            "seconds": provenance.seconds,
                            "started": None if started is None else datetime.fromtimestamp(started, timezone.utc),
                            "outputs": dict(record.outputs),
                            "error": provenance.error,
                        }
                    )
        return pd.DataFrame(rows, columns=list(_JOB_COLUMNS))

    @property
    def metrics(self) -> pd.DataFrame:
        """One row for each value that the latest attempt of each job recorded.

        Columns: iteration (from 1), pipeline, job, name, step (missing for a value without one), value, time (UTC).
        Read from `metrics.jsonl`; empty if the `local` watcher was off.
        """
        import pandas as pd

        rows = list(_latest_attempts(self.work_dir / local.FILE))
        frame = pd.DataFrame(rows, columns=list(_METRIC_COLUMNS))
        frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
        return frame.astype({"step": "Int64"}) if all(_is_whole(step) for step in frame["step"]) else frame

    @property
    def rankings(self) -> tuple[Table, ...]:
        """A table for each ranking of data pools: pool, metric, change against the baseline, interval, verdict.

        Read from `metrics.jsonl`.
        """
        return tuple(ranking.table() for ranking in rankings(self.work_dir / local.FILE))

    @property
    def conclusions(self) -> tuple[str, ...]:
        """Sentences that answer what the run compared: which data set is better, by how much, how sure that is."""
        ranked = rankings(self.work_dir / local.FILE)
        return tuple(conclusions(outputs_of(self.context.records()), ranked))

    @property
    def trials(self) -> pd.DataFrame:
        """The table of a search, `trials.csv`: one row for each trial; empty for a run without `hpo_config`."""
        import pandas as pd

        path = self.work_dir / _TRIALS
        if not path.is_file():
            return pd.DataFrame()
        with path.open(newline="", encoding="utf-8") as stream:
            columns = next(csv.reader(stream), [])
        return pd.read_csv(path) if columns else pd.DataFrame()

    @property
    def report(self) -> Path:
        """The path of the run's page, `report.html`."""
        return self.work_dir / REPORT_FILE

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for _, record in self.context.records():
            status = str(record.provenance.status)
            counts[status] = counts.get(status, 0) + 1
        jobs = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no jobs"
        return f"<Results of {self.work_dir}: {jobs}>"


def load_results(work_dir: str | Path, *, trust_checkpoint: bool = False) -> Results:
    """Read the results of a run from its work directory: of one that ended, failed, or is running now.

    Args:
        work_dir: the work directory.
        trust_checkpoint: also read a checkpoint of an earlier version that holds Python objects. Reading such a file
            can execute code: use it for your own runs only.

    Raises:
        WorkDirError: there is no run in this folder.
        CheckpointError: the checkpoint is damaged.

    Example:
        >>> import data_juicer_sandbox as dj
        >>> rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "rows.jsonl"}
        >>> job = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "output": "path", "extra_configs": rows}
        >>> _ = dj.Sandbox({"work_dir": "out", "execution_job_configs": [job]}).run()
        >>> dj.load_results("out")
        <Results of out: 1 done>
        >>> list(dj.load_results("out"))
        ['anonymous.rows.path']
    """
    folder = Path(work_dir)
    checkpoint = Checkpoint(folder)
    if checkpoint.exists():
        context = checkpoint.read(trust=trust_checkpoint)
    elif (folder / local.FILE).is_file():
        context = ContextInfos()  # the first job is running
    else:
        raise WorkDirError("no run has used this folder", where=str(folder), hint="name the `work_dir` of a config")
    context.turn_to(len(context.iterations) - 1)
    return Results(folder, context)


def _latest_attempts(path: Path) -> Iterator[Mapping[str, JsonValue]]:
    """The values of a metrics file, without those of attempts that a later attempt replaced.

    Damaged lines are skipped, with a warning.
    """
    n_bad = 0

    def bad_line() -> None:
        nonlocal n_bad
        n_bad += 1

    attempts: dict[tuple[int, str, str], list[Mapping[str, JsonValue]]] = {}
    for record in local.read(path, bad_line=bad_line):
        key = (record.iteration, record.pipeline, record.job)
        if record.name is None:
            attempts[key] = []
            continue
        row = {"iteration": record.iteration, "pipeline": record.pipeline, "job": record.job, "name": record.key}
        attempts.setdefault(key, []).append({**row, "step": record.step, "value": record.value, "time": record.time})
    if n_bad:
        warnings.warn(f"{path}: {n_bad:,} damaged line(s) skipped", stacklevel=3)
    for rows in attempts.values():
        yield from rows


def _is_whole(step: float | None) -> bool:
    return step is None or step != step or float(step).is_integer()
