"""The folder of a task: what a worker process is to do, and what came out. Nothing else passes between the two.

task.pkl        the resolved job, for the worker (mode 0600: it may hold secrets)
metrics.jsonl   what the component reports, as it does
warnings.jsonl  its warnings
progress.json   how far it is
log.txt         the log of the worker
result.pkl      written last, if the task succeeded
failure.pkl     written last, if it failed
"""

from __future__ import annotations

import os
import pickle  # written with it; read by `pickle_reader`
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import xxhash

from data_juicer_sandbox.components.base import Item
from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.context import pickle_reader
from data_juicer_sandbox.context.tagged_values import decode, encode
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.files import open_regular, replacing
from data_juicer_sandbox.secrets import mask_text
from data_juicer_sandbox.types import ConfigValues, LibraryObject

TASK, RESULT, FAILURE = "task.pkl", "result.pkl", "failure.pkl"
LOG, METRICS, WARNINGS, PROGRESS, LOCK = "log.txt", "metrics.jsonl", "warnings.jsonl", "progress.json", ".lock"
_BLOCK = 1 << 20
_JOB_FIELDS = ("pipeline", "phase", "position", "hook", "meta_name", "named", "output")


class TaskError(SandboxError):
    """A task failed in its process; the text is that of the error there."""

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class Task:
    """What a worker process is to do.

    Args:
        mode: `job`: run the job, or return its items if it has several; `item`: run one item; `collect`: combine the
            results of the items.
        job: the job; its file and line are not passed on.
        dj_configs, extra_configs: its final configs.
        folder: the job's own folder.
        root, work_dir: of the run, for the guard of its outputs.
        inputs: what the job reads, for the guard.
        metrics: the files of metrics in which the job may look up those of earlier jobs.
        item: the name of the item.
        results: the results of the items by name.
        digests: the content of its inputs and code by name: another content is another task.
        untrusted: the config is somebody else's.
        debug: log everything.
        cwd: the working folder.
        path: the module path.
        python_path: the environment variable `PYTHONPATH` of the run; None if it is not set.
        redo: the component must not reuse results of an earlier run.
    """

    mode: Literal["job", "item", "collect"]
    job: Job
    dj_configs: ConfigValues | None
    extra_configs: ConfigValues
    folder: str
    root: str
    work_dir: str
    inputs: tuple[str, ...]
    metrics: tuple[str, ...]
    item: str = ""
    results: Mapping[str, LibraryObject] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    untrusted: bool = False
    debug: bool = False
    cwd: str = ""
    path: tuple[str, ...] = ()
    python_path: str | None = None
    redo: bool = False

    def plain(self) -> dict[str, LibraryObject]:
        """The task as plain values."""
        job = {name: getattr(self.job, name) for name in _JOB_FIELDS}
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "job": {**job, "phase": self.job.phase.value}}

    @classmethod
    def from_plain(cls, values: dict[str, LibraryObject]) -> Task:
        """The reverse of `plain`."""
        job = {**values["job"], "phase": Phase(values["job"]["phase"])}
        return cls(**{**values, "job": Job(**job)})


@dataclass(frozen=True)
class Result:
    """What a task produced.

    Args:
        value: mode `job` and `collect`: the outputs of the job, in order; mode `item`: the item's result.
        items: mode `job`: the items of the job, if it has several; `value` is then empty.
        code: the digests of the user's code that ran.
        started: when the worker began, in seconds since the epoch.
        has_read: whether the component has read the metrics of other jobs.
        written: the files and folders that it wrote, relative to the work directory.
    """

    value: LibraryObject = ()
    items: tuple[Item, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)
    started: float = 0.0
    has_read: bool = False
    written: tuple[str, ...] = ()


class TaskFolder:
    """The folder of one task.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self._started_key: object = None

    def prepare(self, task: Task) -> bool:
        """Write the task, unless the folder has the result of just this task, and the files that belong to it exist.

        Returns:
            whether the task is to be run.

        Raises:
            TaskError: the folder holds files of the job's component.
        """
        key = _key(task)
        if self._task_key() == key:  # a worker of an earlier run may still be running it
            self.clear_failure()
            if (result := self.result()) is not None:
                work_dir = os.path.realpath(task.work_dir)
                if all(os.path.lexists(os.path.join(work_dir, path)) for path in result.written):  # noqa: PTH118
                    return False
                (self.path / RESULT).unlink()  # the user has removed a file since
        else:
            self._clear()
            self.path.mkdir(parents=True, mode=0o700)
        self._write(TASK, {"key": key, "task": task.plain()})  # also that of an earlier run: its `cwd` may be another
        return True

    def start(self) -> Task:
        """Begin an attempt, in the worker; returns the task.

        Raises:
            TaskError: there is none, or it is damaged.
        """
        content = self._read(TASK)
        if content is None:
            raise TaskError(f"{self.path} holds no task")
        self.clear_reports()
        for name in (RESULT, FAILURE):
            (self.path / name).unlink(missing_ok=True)
        self._started_key = content["key"]
        return Task.from_plain(content["task"])

    def write_result(self, result: Result) -> None:
        """Write the result, in the worker; the task has then succeeded."""
        content = {**vars(result), "items": [asdict(item) for item in result.items], "code": dict(result.code)}
        self._write(RESULT, {"key": self._started_key, **content})

    def write_failure(self, text: str) -> None:
        """Write why the task failed, in the worker."""
        self._write(FAILURE, {"key": self._started_key, "text": text})

    def result(self) -> Result | None:
        """The result; None if the task has not succeeded."""
        content = self._read(RESULT)
        if content is None or content.pop("key", None) != self._task_key():
            return None
        return Result(**{**content, "items": tuple(Item(**item) for item in content["items"])})

    def failure(self) -> str | None:
        """Why the task failed; None if it has not."""
        content = self._read(FAILURE)
        return None if content is None or content.get("key") != self._task_key() else str(content["text"])

    def clear_failure(self) -> None:
        """Remove the failure, so that the task can be run again."""
        (self.path / FAILURE).unlink(missing_ok=True)

    def clear_reports(self) -> None:
        """Remove what an attempt that has ended reported, before the next attempt: it must not be passed on twice."""
        for name in (METRICS, WARNINGS, PROGRESS):
            (self.path / name).unlink(missing_ok=True)

    def mask_log(self) -> None:
        """Mask the secrets in the log of an attempt that has ended: the programs that a component starts write into it
        what they like.
        """
        path, is_changed = self.path / LOG, False
        part = path.with_name(f".{LOG}")
        with suppress(FileNotFoundError), open_regular(path) as stream, part.open("wb") as masked:
            part.chmod(0o600)
            while lines := stream.readlines(_BLOCK):
                before = b"".join(lines).decode("utf-8", "surrogateescape")
                after = mask_text(before)
                is_changed |= after != before
                masked.write(after.encode("utf-8", "surrogateescape"))
        if is_changed:
            part.replace(path)
        part.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove all but the log: the job is done, and recorded. A folder without a task is somebody else's."""
        for entry in self.path.iterdir() if self._is_own() else ():
            if entry.name != LOG and (entry.is_symlink() or entry.is_file()):
                entry.unlink()

    def _is_own(self) -> bool:
        """Whether a task has used the folder; a component may have made it in the folder of its job."""
        return not self.path.is_symlink() and os.path.lexists(self.path / TASK)

    def _clear(self) -> None:
        """Remove all of another task.

        Raises:
            TaskError: the folder holds something else.
        """
        if not self._is_own() and os.path.lexists(self.path):
            others = [] if self.path.is_symlink() else [entry for entry in os.listdir(self.path) if entry != LOG]  # noqa: PTH208
            if others or self.path.is_symlink():
                raise TaskError(f"{self.path} is needed for a task, and is a link or holds something else: remove it")
        shutil.rmtree(self.path, ignore_errors=True)

    def _task_key(self) -> object:
        content = self._read(TASK)
        return None if content is None else content.get("key")

    def _write(self, name: str, content: Mapping[str, LibraryObject]) -> None:
        write_plain(self.path / name, content)

    def _read(self, name: str) -> dict[str, LibraryObject] | None:
        return read_plain(self.path / name)


def write_plain(path: Path, content: Mapping[str, LibraryObject]) -> None:
    """Write plain values, NumPy and pandas objects into a file with mode 0600; it appears whole or not at all."""
    # `shared`: a file of the run, which the guard of the job's outputs does not concern.
    with replacing(path, durable=True, shared=True) as part:
        part.touch(mode=0o600)
        part.write_bytes(pickle.dumps(encode(content), protocol=4))


def read_plain(path: Path) -> dict[str, LibraryObject] | None:
    """The content that `write_plain` wrote; None if the file does not exist or is damaged: as if it was not written."""
    try:
        with open_regular(path) as stream:
            content = decode(pickle_reader.loads(stream.read(), repeats=False))
    except (OSError, pickle.UnpicklingError, ValueError, SandboxError):
        return None
    return content if isinstance(content, dict) else None


def _key(task: Task) -> str:
    """A digest of all that determines the result of a task."""
    return digest_of(replace(task, debug=False, cwd="", path=(), python_path=None).plain())


def digest_of(value: LibraryObject) -> str:
    """A digest of plain values, NumPy and pandas objects."""
    digest = xxhash.xxh3_128()
    _update(digest, encode(value))
    return digest.hexdigest()


def _update(digest: xxhash.xxh3_128, value: LibraryObject) -> None:
    """Add an encoded value. A pickle would depend on which equal texts are one object, and on the order of a set."""
    if isinstance(value, (set, frozenset)):
        value = sorted(map(_digest_of_item, value))
        digest.update(b"set ")
    if isinstance(value, dict):
        digest.update(f"dict {len(value)} ".encode())
        for key, item in value.items():
            _update(digest, key)
            _update(digest, item)
    elif isinstance(value, (list, tuple)):
        digest.update(f"{type(value).__name__} {len(value)} ".encode())
        for item in value:
            _update(digest, item)
    else:
        digest.update(pickle.dumps(value, protocol=4))


def _digest_of_item(value: LibraryObject) -> str:
    digest = xxhash.xxh3_128()
    _update(digest, value)
    return digest.hexdigest()
