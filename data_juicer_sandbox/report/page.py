"""The report page of a run: jobs, metrics and results."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from data_juicer_sandbox.engine.conclusions import conclusions, rankings
from data_juicer_sandbox.engine.summary import labelled
from data_juicer_sandbox.report import html
from data_juicer_sandbox.report.data import TRIAL_METRICS, JobRow, Measured, RunData, Search
from data_juicer_sandbox.report.plots import line_plot
from data_juicer_sandbox.terminal.view import duration
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.watchers import local

_SHOWN_ROWS = 60


def render(run: RunData) -> str:
    """The whole page as HTML."""
    of_jobs = [job for job in run.measured if (job.pipeline, job.name) != TRIAL_METRICS]
    parts = (
        _header(run),
        _run(run.run),
        _answer(run),
        _search(run.search),
        _jobs(run.jobs),
        _tables(run.jobs),
        _metrics(of_jobs),
        _curves(run.measured),
    )
    return html.page(run.title, [piece for part in parts for piece in part])


def _header(run: RunData) -> Iterator[str]:
    yield f"<h1>{escape(run.title)}</h1>"
    done = sum(job.job.get("status") == "done" for job in run.jobs)
    failed = sum(job.job.get("status") == "failed" for job in run.jobs)
    seconds = sum(float(job.job.get("seconds") or 0) for job in run.jobs)
    if run.search is not None:
        done, seconds = done + run.search.done, seconds + run.search.seconds
    start_times = [float(job.job["started"]) for job in run.jobs if job.job.get("started")]
    parts = [f"{done} job{'s'[: done != 1]} done"]
    parts += [f'<span class="bad">{failed} failed</span>'] if failed else []
    parts += [f"{duration(seconds)} of work", f"started {_clock(min(start_times))}"] if start_times else []
    yield f'<p>{" · ".join(parts)}</p><p class="dim"><code>{escape(str(run.work_dir.resolve()))}</code></p>'
    yield from html.faults(run.faults)
    if run.config:
        yield html.fold("Config", f"<pre>{escape(json.dumps(run.config, ensure_ascii=False, indent=2))}</pre>")


def _run(run: Mapping[str, JsonValue]) -> Iterator[str]:
    """Command, versions, machine and end of the last run."""
    if not run:
        return
    program, packages, config = (
        value if isinstance(value := run.get(key), Mapping) else {} for key in ("program", "packages", "config")
    )
    command, runs, memory = run.get("command"), run.get("runs"), run.get("memory_bytes")
    commit = f" at {program['commit']}" if program.get("commit") else ""
    changed = ", with changed files" if program.get("changed") is True else ""
    machine = [run.get("host"), run.get("platform"), f"{run.get('cores')} cores"]
    machine += [f"{memory / 2**30:.1f} GiB"] if isinstance(memory, int) and 0 < memory < 2**60 else []
    machine += run["gpus"] if isinstance(run.get("gpus"), list) else []
    versions = {"Python": run.get("python"), **packages}
    rows = {
        "status": f"{run.get('status')}, exit code {run.get('exit_code')}",
        "command": shlex.join(map(str, command)) if isinstance(command, list) else None,
        "config": f"{config.get('file')} (digest {config.get('digest')})",
        "program": f"{program.get('version')}{commit}{changed}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "machine": ", ".join(map(str, machine)),
        "seeds": run.get("seeds") or None,
        "earlier runs": len(runs) if isinstance(runs, list) else None,
    }
    yield html.fold("Run", html.table(["", ""], [[name, value] for name, value in rows.items() if value is not None]))


def _search(search: Search | None) -> Iterator[str]:
    """The table of the trials, the best ones first and marked."""
    if search is None:
        return
    yield "<h2>Trials</h2>"
    states = Counter(trial.get("state", "") for trial in search.trials)
    counts = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
    goals = ", ".join(f"{name}: {goal}" for name, goal in search.metrics.items())
    parts = [f"{counts}", goals, search.reason or "", f"best: trial {', '.join(search.best) or 'none'}"]
    yield f"<p>{escape(' · '.join(part for part in parts if part))}</p>"
    columns = list(dict.fromkeys(key for trial in search.trials for key in trial if key is not None))
    trials = sorted(search.trials, key=lambda trial: trial.get("number") not in search.best)
    rows = []
    for trial in trials:
        cells: list[object] = [_number(trial.get(column) or "") for column in columns]
        if trial.get("number") in search.best:
            cells[0] = html.Raw(f'<span class="ok">{escape(str(trial.get("number")))} best</span>')
        rows.append(cells)
    shown = html.table(columns, rows)
    yield shown if len(rows) <= _SHOWN_ROWS else html.fold(f"{len(rows)} trials", shown)


def _number(text: str) -> float | str:
    """A cell of the table as a number, to be shown shortened like the others."""
    try:
        return float(text) if "." in text else text
    except ValueError:
        return text


def _answer(run: RunData) -> Iterator[str]:
    """Which data set is better, and the rankings of data pools."""
    ranked = rankings(run.work_dir / local.FILE)
    last = max((job.iteration for job in run.jobs), default=1)
    outputs = [
        (f"{job.pipeline}.{job.name}", name, value)
        for job in run.jobs
        if job.iteration == last and job.job.get("status") == "done"
        for name, value in job.outputs.items()
    ]
    sentences = conclusions(outputs, ranked)
    if sentences:
        yield "<h2>Answer</h2><ul>"
        yield from (f"<li>{escape(sentence)}</li>" for sentence in sentences)
        yield "</ul>"
    for table in (ranking.table() for ranking in ranked):
        yield f"<h3>{escape(table.title)}</h3>"
        yield html.table(table.columns, table.rows)


def _jobs(jobs: Sequence[JobRow]) -> Iterator[str]:
    yield "<h2>Jobs</h2>"
    several = len({job.iteration for job in jobs}) > 1
    columns = ["iteration"] * several + ["pipeline", "phase", "job", "hook", "status", "time", "outputs"]
    rows = []
    for job in jobs:
        metadata = job.job
        status = str(metadata.get("status", ""))
        status_cell = html.Raw(f'<span class="{"ok" if status == "done" else "bad"}">{escape(status)}</span>')
        seconds = metadata.get("seconds")
        duration_cell = "" if seconds is None else html.Raw(f'<span class="t">{duration(float(seconds))}</span>')
        error = html.Raw(f'<pre class="bad">{escape(str(metadata["error"]))}</pre>') if metadata.get("error") else None
        outputs = error or html.Raw("".join(_output(name, value) for name, value in job.outputs.items()))
        row = [
            job.pipeline,
            str(metadata.get("phase", "")),
            job.name,
            str(metadata.get("hook", "")),
            status_cell,
            duration_cell,
            outputs,
        ]
        rows.append([job.iteration] * several + row)
    yield html.table(columns, rows)


def _output(name: str, value: JsonValue) -> str:
    content = f'<span class="dim">table of {len(value)} rows, below</span>' if is_table(value) else html.text(value)
    return f"<div>{escape(name)}: {content}</div>"


def _metrics(measured: Sequence[Measured]) -> Iterator[str]:
    if not measured:
        return
    yield "<h2>Metrics</h2>"
    for group in alike(measured):
        keys = list(dict.fromkeys(key for job in group for key in job.last))
        two = len(group) == 2
        columns = ["metric", *(job.label for job in group), *(["change"] if two else [])]
        rows = []
        for key in keys:
            values = [job.last.get(key) for job in group]
            change = _change(*values) if two else None
            rows.append([key, *values, *([html.Raw(f'<span class="dim">{change or ""}</span>')] if two else [])])
        shown = html.table(columns, rows)
        names = ", ".join(job.label for job in group)
        yield f"<h3>{escape(names)}</h3>"
        yield shown if len(rows) <= _SHOWN_ROWS else html.fold(f"{len(rows)} metrics", shown)


def _change(before: JsonValue, after: JsonValue) -> str | None:
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (before, after)):
        return None
    try:
        change = (float(after) - float(before)) / abs(float(before))
    except (ZeroDivisionError, OverflowError):
        return None
    return f"{change:+.1%}" if math.isfinite(change) else None


def alike(measured: Sequence[Measured]) -> list[list[Measured]]:
    """Jobs that recorded mostly the same metrics, to be shown in one table; in the order they first appear."""
    groups: list[list[Measured]] = []
    for job in measured:
        keys = set(job.last)
        for group in groups:
            other = set(group[0].last)
            if 2 * len(keys & other) > len(keys | other):
                group.append(job)
                break
        else:
            groups.append([job])
    return groups


def _curves(measured: Sequence[Measured]) -> Iterator[str]:
    by_name: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for job in measured:
        for key, points in job.series.items():
            if len({step for step, _ in points}) > 1:
                owner, _, name = key.rpartition(".")  # several models of one job: one plot, a line each
                by_name.setdefault(name, {})[f"{job.label}.{owner}" if owner else job.label] = points
    # What learns comes first; clocks and counters after it.
    plots = sorted(by_name.items(), key=lambda item: ("loss" not in item[0], item[0]))
    drawn = [(name, line_plot(lines, title=name)) for name, lines in plots]
    figures = [f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in drawn if svg]
    if figures:
        yield '<h2>Curves</h2><div class="plots">'
        yield from figures
        yield "</div>"


def _tables(jobs: Sequence[JobRow]) -> Iterator[str]:
    tables = [(job, name, value) for job in jobs for name, value in job.outputs.items() if is_table(value)]
    if tables:
        yield "<h2>Results</h2>"
    for job, name, value in tables:
        yield f"<h3>{escape(f'{job.label}.{name}')}</h3>"
        columns = list(dict.fromkeys(str(key) for row in value for key in row))
        shown = html.table(columns, labelled(columns, value))
        yield shown if len(value) <= _SHOWN_ROWS else html.fold(f"{len(value)} rows", shown)


def is_table(value: object) -> bool:
    """Whether an output is a list of mappings, such as the scores of several data sets."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
