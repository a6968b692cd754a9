"""`Bench`: runs a component in a copy of its folder, and records what it returns, writes and reports."""

from __future__ import annotations

import copy
import hashlib
import os
import random
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_juicer_sandbox.component_run import plain_value
from data_juicer_sandbox.components.base import Component, JobRun, Role, Written
from data_juicer_sandbox.files import guarded_by, make_folder, real_path
from data_juicer_sandbox.output_guard import LEDGER, OutputGuard, OutputLedger
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.signatures import build, parameters
from data_juicer_sandbox.testing.process_state import ProcessState
from data_juicer_sandbox.testing.recorders import Events, Interruption, RecordedTask, RecordingGuard, RecordingJob
from data_juicer_sandbox.types import ConfigValues, JsonValue
from data_juicer_sandbox.validation.outputs import check_output
from data_juicer_sandbox.workflow.planned_job import recipe_paths

WORK_DIR = "conformance_work"
NAME = "component"


@dataclass
class Observation:
    """What one run did.

    Args:
        result: what `run` returned.
        error: what it raised instead.
        before: digests of all files by relative path, before the run.
        after: the same after it.
        events: what the component reported and wrote.
        state_changes: what it left in the process.
    """

    result: object
    error: BaseException | None
    before: dict[str, str]
    after: dict[str, str]
    events: Events
    state_changes: list[str] = field(default_factory=list)

    @property
    def written(self) -> list[str]:
        """The files that are new or changed."""
        return [name for name, digest in self.after.items() if self.before.get(name) != digest]


class Bench:
    """A component with values for its parameters, and a folder to run it in.

    Every run begins with a copy of `folder` at the same path, so that the runs do not affect each other.

    Args:
        cls: the component.
        values: its parameters; paths relative to `folder`.
        folder: the inputs.
        temporary: where the copies are made.
        metrics: what `job.watcher.query` returns by the name of the job.
    """

    def __init__(
        self,
        cls: type[Component],
        values: Mapping[str, object],
        folder: Path,
        temporary: Path,
        metrics: Mapping[str, Mapping[str, object]],
    ):
        self.cls, self.metrics = cls, metrics
        self.source = folder.resolve()
        self.values: ConfigValues = _relative(plain_value(dict(values)), (folder.absolute(), self.source))
        self.project = temporary.resolve() / "project"
        self.job_folder = f"{WORK_DIR}/jobs/anonymous/{NAME}"
        self._first: Observation | None = None

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """Make a new copy of the folder, the current folder while the block runs."""
        before = Path.cwd()
        os.chdir(self.renew())
        try:
            yield self.project
        finally:
            os.chdir(before)

    def renew(self) -> Path:
        """Make a new copy of the folder."""
        if self.project.exists():
            shutil.rmtree(self.project)
        return Path(shutil.copytree(self.source, self.project, symlinks=True))

    def first(self) -> Observation:
        """The first run, which is made once."""
        if self._first is None:
            with self.fresh():
                self._first = self.observe()
        return self._first

    def observe(
        self, interruption: Interruption | None = None, seed: int = 0, *, by_items: bool = False
    ) -> Observation:
        """Run the component in the current folder, once.

        Args:
            interruption: an exception that is raised in the component.
            seed: seeds the random numbers of the process, which the component should not use.
            by_items: call the methods of `FanOut` instead of `run`, each of a new object, as in a parallel run.
        """
        events = Events(interruption)
        before, state = file_digests(self.project), ProcessState()
        result, error = None, None
        try:
            _seed(seed)
            seeded = ProcessState()
            try:
                result = self._run(events, by_items)
            except (Exception, KeyboardInterrupt, SystemExit) as raised:
                error = raised
            changes = list(seeded.changes())
            seeded.restore()
        finally:
            state.restore()
        after = file_digests(self.project)
        after.pop(f"{WORK_DIR}/{LEDGER}", None)
        return Observation(result, error, before, after, events, changes)

    def declared(self, role: Role) -> Iterator[tuple[str, str, Written]]:
        """The name, path and kind of every path that the values declare."""
        parameter_by_name = parameters(self.cls)[0]
        for name, value in self.values.items():
            if name in parameter_by_name and parameter_by_name[name].role is role:
                for path in texts(value):
                    yield name, path, parameter_by_name[name].written
        recipe = self.values.get("dj_configs")
        if isinstance(recipe, Mapping):
            for _, path in recipe_paths(recipe, role):
                yield "dj_configs", path, Written.FILE

    def in_job_folder(self, name: str) -> bool:
        """Whether a relative path lies in the job's own folder."""
        return name.startswith(self.job_folder + "/")

    def _run(self, events: Events, by_items: bool) -> object:
        def component() -> Any:
            return build(self.cls, copy.deepcopy(self.values))

        work_dir = self.project / WORK_DIR
        work_dir.mkdir()
        folder = Path(WORK_DIR) / "jobs" / "anonymous" / NAME
        make_folder(Path(WORK_DIR), folder)
        inputs = [path for role in (Role.INPUT, Role.MODEL) for _, path, _ in self.declared(role)]
        guard = OutputGuard(work_dir, NAME, inputs, OutputLedger(work_dir), folder, work_dir)
        for _, path, written in self.declared(Role.OUTPUT):
            check_output(guard, path, written, claim=True)
        recorder = RecordingJob(events, self.metrics)
        with guarded_by(RecordingGuard(guard, events)):
            try:
                job = JobRun("anonymous", NAME, folder, recorder, recorder)
                if by_items and (items := component().items(job)):
                    # the last one first: parallel runs finish them in any order
                    results = {item.name: component().run_item(job, item.name) for item in reversed(items)}
                    return component().collect(job, {item.name: results[item.name] for item in items})
                return component().run(job)
            finally:
                guard.settle()


def file_digests(folder: Path) -> dict[str, str]:
    """The digest of every file, and the target of every link, by its path relative to a folder."""
    digests = {}
    for root, folders, names in os.walk(folder):
        for name in sorted({*names, *(item for item in folders if Path(root, item).is_symlink())}):
            path = Path(root, name)
            if path.is_symlink():
                digest = f"link to {path.readlink()}"
            elif path.is_file():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                digest = "no file"
            digests[str(path.relative_to(folder))] = digest
    return dict(sorted(digests.items()))


def is_below(path: Path, folder: Path) -> bool:
    """Whether a path is another one, or lies in it."""
    return real_path(path).is_relative_to(real_path(folder))


def unfinished_tasks(tasks: list[RecordedTask]) -> list[str]:
    """The descriptions of progress tasks that were not closed."""
    return [task.description for task in tasks if task.open]


def _relative(value: object, folders: tuple[Path, ...]) -> JsonValue:
    """Values with the absolute paths below a folder made relative to it; the folder may have several names."""
    if isinstance(value, str):
        for folder in folders:
            if value.startswith(f"{folder}{os.sep}"):
                return os.path.relpath(value, folder)
    if isinstance(value, dict):
        return {key: _relative(item, folders) for key, item in value.items()}
    if isinstance(value, list):
        return [_relative(item, folders) for item in value]
    return value


def _seed(seed: int) -> None:
    random.seed(seed)
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed(seed)
