"""Checks of what an interruption of a component leaves, and that a resumed run keeps a job until an input is edited."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.engine.runner import TrialPruned
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.file_digests import walk
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.testing.observation import NAME, WORK_DIR, Bench, Observation, unfinished_tasks
from data_juicer_sandbox.testing.recorders import PROGRESS, RENAME, WATCH, Interruption
from data_juicer_sandbox.testing.reporting import describe
from data_juicer_sandbox.types import ConfigValues


def resumes(bench: Bench, hook: str) -> Iterator[str]:
    """A resumed run of a real config keeps the job; after an input is edited, it runs again."""
    config = bench.project.with_name("conformance.yaml")
    config.write_text(yaml.safe_dump(_config(bench, hook)), encoding="utf-8")
    with bench.fresh():
        sandbox = Sandbox(config)
        try:
            sandbox.run(resume=False)
            kept = sandbox.plan(resume=True)
        except SandboxError as error:
            yield f"a run of a config fails: {error}"
            return
        if reasons := [step.reason for step in kept if step.runs]:
            yield f"a resumed run does the job again: {reasons[0]}"
            return
        if ran := sandbox.run(resume=True).ran:
            yield f"a resumed run does the job again: {', '.join(ran)}"
        for path in declared_inputs(bench):
            if not path.is_absolute() and not _notices(sandbox, path):
                yield f"a resumed run keeps the job although {path} was edited"


def declared_inputs(bench: Bench) -> list[Path]:
    """The files that the values name, except outputs: of a declared folder the first, of a pattern the first match."""
    outputs = {path for _, path, _ in bench.declared(Role.OUTPUT)}
    named = set(texts(bench.values)) - outputs
    files = [
        Path(text) for text in sorted(named) if "\0" not in text and path_exists(f"{bench.source}/{text}", file=True)
    ]
    for _, path, _ in bench.declared(Role.INPUT):
        for name in sorted(glob.glob(path, root_dir=bench.source, recursive=True))[:1]:  # noqa: PTH207
            below = next(iter(walk(bench.source / name)), None)
            if below is not None and below.is_file():
                within = below.is_relative_to(bench.source)
                files.append(below.relative_to(bench.source) if within else below)
    return list(dict.fromkeys(files))


def _notices(sandbox: Sandbox, path: Path) -> bool:
    """Whether the job would run again if a line break were added to a file."""
    content, status = path.read_bytes(), path.stat()
    path.write_bytes(content + b"\n")
    try:
        return any(step.runs for step in sandbox.plan(resume=True))
    except SandboxError:  # the edited file is refused, so it was noticed
        return True
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _config(bench: Bench, hook: str) -> ConfigValues:
    """A config of one job with the component."""
    values = dict(bench.values)
    job: ConfigValues = {"hook": hook, "meta_name": NAME}
    if isinstance(values.get("dj_configs"), dict):
        job["dj_configs"] = values.pop("dj_configs")
    job["extra_configs"] = {"type": f"{bench.cls.__module__}.{bench.cls.__qualname__}", **values}
    phase = "execution_job_configs" if hook != "GeneralProbeHook" else "probe_job_configs"
    return {"work_dir": WORK_DIR, "watchers": ["local"], phase: [job]}


def lets_interruptions_through(bench: Bench, deterministic: bool) -> Iterator[str]:
    """KeyboardInterrupt and the end of a search's trial come out of `run`, and no partial output is there then."""
    first = bench.first()
    for title, interruption in _interruptions(first.events.counts):
        with bench.fresh():
            stopped = bench.observe(interruption)
        yield from (f"{title}: {problem}" for problem in _problems(bench, first, stopped, interruption, deterministic))


def _interruptions(counts: dict[str, int]) -> Iterator[tuple[str, Interruption]]:
    """The exceptions to raise, as far as a run without them gave occasion."""
    if counts.get(WATCH):
        yield "a search ends the trial in `watch(step=...)`", Interruption(TrialPruned("conformance"), WATCH)
        yield "Ctrl+C in `watch(step=...)`", Interruption(KeyboardInterrupt(), WATCH, counts[WATCH])
    if counts.get(PROGRESS):
        middle = counts[PROGRESS] // 2 + 1
        yield "Ctrl+C while a progress task advances", Interruption(KeyboardInterrupt(), PROGRESS, middle)
    if counts.get(RENAME):
        yield "Ctrl+C when a file is complete", Interruption(KeyboardInterrupt(), RENAME, counts[RENAME])


def _problems(
    bench: Bench, first: Observation, stopped: Observation, interruption: Interruption, deterministic: bool
) -> Iterator[str]:
    name = type(interruption.error).__name__
    if stopped.events.counts.get(interruption.event, 0) < interruption.number:
        return  # this run gave no occasion
    if stopped.error is None:
        yield f"{name} is caught, and `run` goes on; use `finally`, not `except Exception`"
    elif stopped.error is not interruption.error and not isinstance(stopped.error, KeyboardInterrupt):
        yield f"{name} is replaced by {describe(stopped.error)}"
    if stopped.error is None:
        return
    for path in stopped.written:
        if bench.in_job_folder(path):
            continue
        if path not in first.after:
            yield f"{path} is left behind"
        elif deterministic and stopped.after[path] != first.after[path]:
            yield f"{path} is incomplete; write it through `files.replacing`"
    for path in stopped.before:
        if path not in stopped.after:
            yield f"{path} is removed"
    for description in unfinished_tasks(stopped.events.tasks):
        yield f"the task {description!r} is not closed"
    yield from (change for change in stopped.state_changes if "thread" in change or "child process" in change)
