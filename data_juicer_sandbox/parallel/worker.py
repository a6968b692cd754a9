"""The command of a task: `python -m data_juicer_sandbox.parallel.worker FOLDER` runs it and writes what came out.

Exits with 0 if the folder has a result or a failure then, and with 130 if it was interrupted.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from loguru import logger

from data_juicer_sandbox.code_policy import code_policy
from data_juicer_sandbox.components.base import FanOut, JobRun
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.files import guarded_by, open_append
from data_juicer_sandbox.hooks import find_hook
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.interruption import interruptible, is_failure
from data_juicer_sandbox.output_guard import OutputGuard, OutputLedger
from data_juicer_sandbox.parallel.tasks import LOCK, LOG, PROGRESS, WARNINGS, Result, Task, TaskFolder
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
MAX_LINE = 1 << 20
"""Characters of a line after which it is logged although it goes on."""


class TaskWatcher(Watcher):
    """Records into the task's folder; also finds the metrics of earlier jobs.

    Args:
        folder: the task's folder.
        others: the files of metrics of the run.
    """

    def __init__(self, folder: Path, others: Sequence[str]):
        super().__init__({"local": local.LocalTracker(RunInfo(folder, "", "", {}, resume=True))}, folder / local.FILE)
        self._others = [Path(path) for path in others]
        self.has_read = False

    def query(self, meta_name: str, pipeline: str | None = None) -> Metrics:
        """The last values that a job watched: in this task, else in an earlier job of the run."""
        self.has_read = True
        values = super().query(meta_name, pipeline)
        for path in self._others:
            values = values or local.last_values(path, meta_name, pipeline)
        return values


class FileProgress:
    """Writes how far the task is into its folder: the state of the innermost progress bar, twice a second.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self._path = path
        self._tasks: list[_FileTask] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[_FileTask]:
        """A progress bar of a component."""
        task = _FileTask(description, total)
        self._tasks.append(task)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_regularly, name="progress", daemon=True)
            self._thread.start()
        try:
            yield task
        finally:
            self._tasks.remove(task)

    def close(self) -> None:
        """Write no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _write_regularly(self) -> None:
        written = ""
        while not self._ended.is_set():
            task = next(reversed(self._tasks), None)
            if task is not None and (state := task.state()) != written:
                written = state
                part = self._path.with_name(f".{self._path.name}")
                with suppress(OSError):  # a full disk must not end the task here
                    part.write_text(state, encoding="utf-8")
                    part.replace(self._path)
            self._ended.wait(EVERY)


class _FileTask:
    def __init__(self, text: str, total: float | None):
        self._text, self._total = text, total
        self._completed, self._note = 0.0, ""

    def advance(self, amount: float = 1) -> None:
        """Increase the completed amount."""
        self._completed += amount

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set the completed amount, the total, or the note."""
        self._completed = self._completed if completed is None else completed
        self._total = self._total if total is None else total
        self._note = self._note if note is None else note

    def state(self) -> str:
        """The state as JSON."""
        state = {"text": self._text, "completed": self._completed, "total": self._total, "note": mask_text(self._note)}
        return json.dumps(state)


def run_task(folder: Path) -> None:
    """Run the task of a folder; writes its result or its failure.

    Raises:
        KeyboardInterrupt: it was interrupted; the folder has neither.
    """
    with _only_worker_of(folder):
        _run_task(folder)


@contextmanager
def _only_worker_of(folder: Path) -> Iterator[None]:
    """Wait until no other process runs the task: one of a cluster may, if a later run uses another backend."""
    with open_append(folder / LOCK) as stream:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
        yield


def _run_task(folder: Path) -> None:
    started, process = time.time(), os.getpid()
    task_folder = TaskFolder(folder)
    if task_folder.result() is not None:  # the other process has done it
        return
    task = task_folder.start()
    os.chdir(task.cwd or ".")
    _restore_python_path(task.python_path)
    sys.path[:0] = [entry for entry in task.path if entry not in sys.path]
    remember_all([task.dj_configs, task.extra_configs])
    logs.setup(folder / LOG, task.debug, file_only=True)
    logger.add(_WarningsFile(folder / WARNINGS), level="WARNING", format="{message}", catch=True)
    watcher, progress = TaskWatcher(folder, task.metrics), FileProgress(folder / PROGRESS)
    try:
        with code_policy(untrusted=task.untrusted), logger.contextualize(job=task.job.label), _logged_streams():
            result = _run(task, watcher, progress)
        watcher.sync()
        task_folder.write_result(replace(result, started=started, has_read=watcher.has_read))
    except BaseException as error:
        if not is_failure(error, process):
            raise
        logger.bind(file_only=True).opt(exception=error).error("the task failed")
        text = str(error) if isinstance(error, SandboxError) else f"{type(error).__name__}: {error}"
        task_folder.write_failure(mask_text(text))
    finally:
        progress.close()
        watcher.close()
        logs.close()
        task_folder.mask_log()


def _restore_python_path(value: str | None) -> None:
    """Give programs that the component starts the `PYTHONPATH` of the run. A backend sets another one for this process,
    with which a Python of another version would not start.
    """
    if value is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = value


def _run(task: Task, watcher: Watcher, progress: FileProgress) -> Result:
    hook = find_hook(task.job.hook)
    component_class = hook.component_class(task.extra_configs)
    resolved = ResolvedJob(task.job, task.dj_configs, task.extra_configs, (), component_class)
    folder = Path(task.folder)
    job_watcher = watcher.of(task.job.pipeline, task.job.meta_name)
    job = JobRun(task.job.pipeline, task.job.meta_name, folder, job_watcher, progress, task.redo)
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
    work_dir = os.path.realpath(task.work_dir)
    written = sorted(os.path.relpath(path, work_dir) for path in guard.claimed if os.path.lexists(path))
    return replace(result, code=code, written=tuple(written))


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


class LoggedStream(io.TextIOBase):
    """A standard stream whose lines go to the log, where secrets are masked. All else is that of the stream.

    Args:
        stream: the stream in its place before; it receives what is written while a line is logged, and the bytes that
            are written to `buffer`.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._rest: list[str] = []
        self._size = 0
        self._lock = threading.RLock()
        self._is_logging = False

    def write(self, text: str) -> int:
        """Log the whole lines; of what a progress bar overwrites, only the last state."""
        with self._lock:
            if self._is_logging:  # by a sink, in this thread
                return self._stream.write(text)
            head, end, rest = text.rpartition("\n")
            if end:
                self._log("".join([*self._rest, head]))
                self._rest, self._size = [], 0
            # What follows the last carriage return overwrites what is before it, unless nothing follows it yet.
            before, end, after = rest.rpartition("\r")
            if end and after:
                self._rest, self._size = [], 0
                rest = after
            elif end:
                rest = f"{before.rpartition(chr(13))[2]}\r"
            self._rest.append(rest)
            self._size += len(rest)
            if self._size > MAX_LINE:
                self.end()
        return len(text)

    def end(self) -> None:
        """Log a last line without a line break."""
        with self._lock:
            rest, self._rest, self._size = "".join(self._rest), [], 0
            self._log(rest)

    def _log(self, text: str) -> None:
        self._is_logging = True
        try:
            for line in text.split("\n"):
                if shown := line.rstrip("\r").rpartition("\r")[2].strip():
                    logger.bind(file_only=True).info("{}", shown)
        finally:
            self._is_logging = False

    def isatty(self) -> bool:
        """Not a terminal."""
        return False

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream, for child processes."""
        return self._stream.fileno()

    @property
    def buffer(self) -> BinaryIO:
        """The stream of bytes below; they go to the file as they are."""
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """That of the stream."""
        return self._stream.errors

    def reconfigure(self, **settings: object) -> None:
        """Nothing: the lines are text."""


@contextmanager
def _logged_streams() -> Iterator[None]:
    """What is written to the standard streams in the block goes to the log."""
    output, errors = LoggedStream(sys.stdout), LoggedStream(sys.stderr)
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            yield
        finally:
            output.end()
            errors.end()


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
