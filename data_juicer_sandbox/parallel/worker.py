"""The command of a task: `python -m data_juicer_sandbox.parallel.worker FOLDER` runs it and writes what came out.

Exits with 0 if the folder has a result or a failure then, and with 130 if it was interrupted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.code_policy import code_policy
from data_juicer_sandbox.components.base import FanOut, JobRun
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.files import guarded_by
from data_juicer_sandbox.hooks import find_hook
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.interruption import interruptible
from data_juicer_sandbox.output_guard import OutputGuard, OutputLedger
from data_juicer_sandbox.parallel.tasks import LOG, PROGRESS, WARNINGS, Result, Task, TaskFolder
from data_juicer_sandbox.secrets import mask_text, remember_all
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.types import LibraryObject, Metrics
from data_juicer_sandbox.user_code import UserCode
from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.watchers.base import RunInfo
from data_juicer_sandbox.watchers.watcher import Watcher
from data_juicer_sandbox.workflow.resolve import ResolvedJob

if TYPE_CHECKING:
    from loguru import Message

INTERRUPTED = 130
EVERY = 0.5
"""Seconds between two writes of the progress."""


class TaskWatcher(Watcher):
    """Records into the task's folder; also finds the metrics of earlier jobs.

    Args:
        folder: the task's folder.
        others: the files of metrics of the run.
    """

    def __init__(self, folder: Path, others: Sequence[str]):
        super().__init__({"local": local.LocalTracker(RunInfo(folder, "", "", {}, resume=True))}, folder / local.FILE)
        self._others = [Path(path) for path in others]

    def query(self, meta_name: str, pipeline: str | None = None) -> Metrics:
        """The last values that a job watched: in this task, else in an earlier job of the run."""
        found = super().query(meta_name, pipeline)
        for path in self._others:
            found = found or local.last_values(path, meta_name, pipeline)
        return found


class FileProgress:
    """Writes how far the task is into its folder: the state of the innermost progress bar, twice a second.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self._path = path
        self._written = 0.0
        self._tasks: list[_FileTask] = []

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[_FileTask]:
        """A progress bar of a component."""
        task = _FileTask(self, description, total)
        self._tasks.append(task)
        try:
            self.write()
            yield task
        finally:
            self._tasks.remove(task)

    def write(self) -> None:
        """Write the state, unless it was written a moment ago."""
        now = time.monotonic()
        if now - self._written < EVERY or not self._tasks:
            return
        self._written = now
        task = self._tasks[-1]
        state = {"text": task.text, "completed": task.completed, "total": task.total, "note": mask_text(task.note)}
        part = self._path.with_name(f".{self._path.name}")
        with suppress(OSError):  # a full disk must not end the task here
            part.write_text(json.dumps(state), encoding="utf-8")
            part.replace(self._path)


class _FileTask:
    def __init__(self, progress: FileProgress, text: str, total: float | None):
        self._progress, self.text, self.total = progress, text, total
        self.completed, self.note = 0.0, ""

    def advance(self, amount: float = 1) -> None:
        """Increase the completed amount."""
        self.completed += amount
        self._progress.write()

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set the completed amount, the total, or the note."""
        self.completed = self.completed if completed is None else completed
        self.total = self.total if total is None else total
        self.note = self.note if note is None else note
        self._progress.write()


def run_task(folder: Path) -> None:
    """Run the task of a folder; writes its result or its failure.

    Raises:
        KeyboardInterrupt: it was interrupted; the folder has neither.
    """
    started = time.time()
    task_folder = TaskFolder(folder)
    task = task_folder.start()
    os.chdir(task.cwd or ".")
    sys.path[:0] = [entry for entry in task.path if entry not in sys.path]
    remember_all([task.dj_configs, task.extra_configs])
    logs.setup(folder / LOG, task.debug, file_only=True)
    logger.add(_WarningsFile(folder / WARNINGS), level="WARNING", format="{message}", catch=True)
    watcher = TaskWatcher(folder, task.metrics)
    try:
        with code_policy(untrusted=task.untrusted), logger.contextualize(job=task.job.label):
            result = _run(task, watcher, FileProgress(folder / PROGRESS))
        watcher.sync()
        task_folder.write_result(replace(result, started=started))
    except Exception as error:
        logger.opt(exception=error).error("the task failed")
        text = str(error) if isinstance(error, SandboxError) else f"{type(error).__name__}: {error}"
        task_folder.write_failure(mask_text(text))
    finally:
        watcher.close()
        logs.close()


def _run(task: Task, watcher: Watcher, progress: FileProgress) -> Result:
    hook = find_hook(task.job.hook)
    component_class = hook.component_class(task.extra_configs)
    resolved = ResolvedJob(task.job, task.dj_configs, task.extra_configs, (), component_class)
    folder = Path(task.folder)
    job_watcher = watcher.of(task.job.pipeline, task.job.meta_name)
    job = JobRun(task.job.pipeline, task.job.meta_name, folder, job_watcher, progress)
    guard = OutputGuard(
        Path(task.work_dir), task.job.id, task.inputs, OutputLedger(Path(task.work_dir)), folder, Path(task.root)
    )
    with guarded_by(guard):
        try:
            result = _call(task, hook, resolved, job)
        except BaseException:
            guard.settle(completed=False)
            raise
        guard.settle()
    code = UserCode().digests([hook, component_class], [task.job.hook, [task.extra_configs, task.dj_configs]])
    return Result(result.value, result.items, code)


def _call(task: Task, hook: type[Hook], resolved: ResolvedJob, job: JobRun) -> Result:
    """Call the component as the task's mode says."""
    component = hook.build(resolved) if issubclass(resolved.component or object, FanOut) else None
    if not isinstance(component, FanOut) or hook.run is not Hook.run:
        return Result(_outputs(task, hook().run(resolved, job)))
    if task.mode == "item":
        return Result(to_plain(component.run_item(job, task.item), task.item))
    if task.mode == "collect":
        return Result(_outputs(task, component.collect(job, dict(task.results))))
    items = tuple(component.items(job))
    return Result(items=items) if len(items) > 1 else Result(_outputs(task, component.run(job)))


def _outputs(task: Task, result: object) -> list[LibraryObject]:
    """The outputs of a job as plain values; the run names them."""
    results = result if isinstance(result, tuple) else (result,)
    names = task.job.output or ()
    return [
        to_plain(value, names[index] if index < len(names) else f"res_{index + 1}")
        for index, value in enumerate(results)
    ]


class _WarningsFile:
    """A sink that appends each warning as a JSON line."""

    def __init__(self, path: Path):
        self._path = path

    def __call__(self, message: Message) -> None:
        record = message.record
        if record["extra"].get("file_only"):
            return
        line = json.dumps({"level": record["level"].name, "message": mask_text(record["message"])})
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def main() -> int:
    """Run the task of the folder that the command line names."""
    try:
        with interruptible():
            run_task(Path(sys.argv[1]))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
