"""Checks that a run of the sandbox keeps a job that is done, and does it again once an input is edited."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.file_digests import walk
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.testing.observation import NAME, WORK_DIR, Bench
from data_juicer_sandbox.types import ConfigValues
from data_juicer_sandbox.workflow.planned_job import texts


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
