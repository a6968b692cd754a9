"""`CachedJob`: one entry of the cache of finished jobs: read, put into a run, made.

An entry is made under a temporary name and renamed. Every file is compared with its digest before any of them is used.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import Watching
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.tagged_values import decode, encode
from data_juicer_sandbox.engine.portable_paths import NotPortable, PortablePaths
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.file_digests import TICK, digest, last_change, walk
from data_juicer_sandbox.files import real_path, remove, replacing
from data_juicer_sandbox.output_folders import MARKER
from data_juicer_sandbox.output_guard import OutputGuard
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.types import LibraryObject, Metrics
from data_juicer_sandbox.watchers.base import flat_values
from data_juicer_sandbox.workflow.fingerprints import (
    content_of,
)

if TYPE_CHECKING:
    from data_juicer_sandbox.engine.job_cache import JobCache

_TEMPORARY = "tmp-"
_STALE = 60.0
"""Seconds after which the temporary folder of a process that has ended is removed."""
_ENTRY, _FILES = "entry", "files"


@dataclass(frozen=True)
class Entry:
    """The content of an entry, with placeholders.

    Args:
        outputs: the results of the job, encoded.
        metrics: what it reported: step, values.
        items: the files and folders that it wrote: path, whether it is a folder that is replaced as a whole, and its
            files: name in the folder, size, digest, and whether it has placeholders.
        digests: the digest of each file and folder that the job's record names, by path, as in the keys of later jobs.
    """

    outputs: Mapping[str, LibraryObject]
    metrics: list[tuple[int | None, Metrics]]
    items: list[Mapping[str, LibraryObject]]
    digests: Mapping[str, str]


class RecordingWatcher:
    """Passes metrics on, and keeps them for the cache.

    Args:
        watcher: the job's watcher.
    """

    def __init__(self, watcher: Watching):
        self._watcher = watcher
        self.metrics: list[tuple[int | None, Metrics]] = []
        self.has_read = False
        """Whether the job has read the metrics of other jobs, which its key does not contain."""

    def watch(self, values: Mapping[str, object], step: int | None = None) -> None:
        """Pass values on, and keep them."""
        self._watcher.watch(values, step)
        self.metrics.append((step, mask(dict(flat_values(values)))))

    def query(self, meta_name: str) -> Metrics:
        """The last values of another job."""
        self.has_read = True
        return self._watcher.query(meta_name)


@dataclass
class CachedJob:
    """The entry of one job, which may not exist yet.

    Args:
        cache: the cache.
        folder: the folder of the entry.
        paths: the work directory of the run.
        declared: the paths that the job's configs declare as outputs.
        mentioned: all texts in its configs.
        is_new: whether there was no entry when the job started.
    """

    cache: JobCache
    folder: Path
    paths: PortablePaths
    declared: list[str]
    mentioned: frozenset[str]
    is_new: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_new = not os.path.lexists(self.folder)

    def entry(self, *, by_size: bool = False) -> Entry | None:
        """Read the entry, and check its files; None without one. A damaged one is reported.

        Args:
            by_size: compare the sizes of its files only, not their digests.
        """
        if not self.folder.is_dir():
            return None
        try:
            (record,) = [record for _, record in Checkpoint(self.folder).read().records()]
            content = record.outputs[_ENTRY]
            entry = Entry(**{**content, "metrics": [(step, dict(values)) for step, values in content["metrics"]]})
            for file in self._files(entry):
                path = self.folder / _FILES / str(file["file"])
                if path.is_symlink() or path.stat().st_size != file["size"]:
                    raise ValueError(f"file {file['file']} has another size")
                if not by_size and digest(path) != file["digest"]:
                    raise ValueError(f"file {file['file']} has another content")
            for item in entry.items:
                self._check_target(str(item["path"]), [str(file["name"]) for file in item["files"]])
        except PermissionError:
            return None  # of another user
        except (SandboxError, OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("the entry {} of the cache is damaged and ignored: {}", self.folder, error)
            return None
        return entry

    def recorder(self, watcher: Watching) -> RecordingWatcher:
        """A watcher for the job that keeps its metrics for `store`."""
        return RecordingWatcher(watcher)

    def restore(self, watcher: Watching) -> dict[str, LibraryObject] | None:
        """Put the files of the entry into this run, and report its metrics; returns the outputs, None without an entry.

        Raises:
            JobError: a file must not be written; the job must not write it either.
        """
        entry = self.entry()
        if entry is None:
            return None
        try:
            for item in entry.items:
                self._restore_item(item)
            outputs: dict[str, LibraryObject] = decode(self.paths.restored(entry.outputs))
            with suppress(OSError):
                os.utime(self.folder)  # so that entries that nobody uses can be told by their time
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:  # removed meanwhile
            logger.warning("the entry {} of the cache cannot be used: {}", self.folder, error)
            return None
        for step, values in entry.metrics:
            watcher.watch(self.paths.restored(values), step)
        return outputs

    def store(self, record: JobRecord, watcher: RecordingWatcher, guard: OutputGuard) -> None:
        """Make the entry from the results of the job. A failure is logged; it fails no job."""
        try:
            if watcher.has_read:
                raise NotPortable("it reads metrics of another job")
            cache = self.cache.folder
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_stale(cache)
            with _temporary_folder(cache) as folder:
                self._fill(folder, record, watcher, guard)
                self._rename(folder)
        except NotPortable as error:
            logger.info("the job is not put into the cache: {}", error.what)
        except Exception as error:  # of any library that reads what the job wrote
            logger.warning("the job could not be put into the cache: {}", error)

    def _fill(self, folder: Path, record: JobRecord, watcher: RecordingWatcher, guard: OutputGuard) -> None:
        (folder / _FILES).mkdir(mode=0o700)
        numbers = iter(range(1 << 62))
        items = []
        for path, is_whole, files in self._written(record, guard):
            copies = []
            for file in files:
                name = "" if file == Path(path) else str(file.relative_to(path))
                number = str(next(numbers))
                copies.append({"name": name, "file": number, **self._copy_in(file, folder / _FILES / number)})
            items.append({"path": self.paths.of_path(path), "whole": is_whole, "files": copies})
            self._check_target(self.paths.of_path(path), [])
        digests = {
            self.paths.of_path(path): self.cache.digest(self.paths, path, content_of(stamp))
            for path, stamp in record.provenance.outputs.items()
        }
        content = {
            "outputs": self.paths.of_value(encode(record.outputs, depth=-1)),
            "metrics": self.paths.of_value(watcher.metrics),
            "items": items,
            "digests": digests,
        }
        stored = JobRecord(record.meta_name, {_ENTRY: content}, replace(record.provenance, trace=None))
        Checkpoint(folder).write(ContextInfos([{"cache": {stored.id: stored}}]))
        for file in walk(folder):
            file.chmod(0o600)

    def _copy_in(self, file: Path, target: Path) -> dict[str, LibraryObject]:
        text = self.paths.of_file(file)
        if text is None:
            copy(file, target)
        else:
            target.write_bytes(text.encode())
        return {"size": target.stat().st_size, "digest": digest(target), "portable": text is not None}

    def _rename(self, folder: Path) -> None:
        """Give the entry its name. Of two runs that make the same one, the first wins."""
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        if os.path.lexists(self.folder) and not self.is_new:  # damaged, or the job was to be redone
            with _temporary_folder(self.cache.folder) as old, suppress(FileNotFoundError):
                self.folder.rename(old / "old")
        with suppress(OSError):  # the other run was faster
            folder.rename(self.folder)

    def _written(self, record: JobRecord, guard: OutputGuard) -> Iterator[tuple[str, bool, list[Path]]]:
        """The paths that the job wrote, as its configs and results spell them: path, whether it is a folder that is
        replaced as a whole, and its files.

        Raises:
            NotPortable: one cannot be placed in another run.
        """
        paths = list(record.provenance.outputs)
        covered = [real_path(path) for path in paths]
        for real in sorted(guard.claimed):
            if os.path.lexists(real) and not any(real.is_relative_to(path) for path in covered):
                paths.append(self._spelled(real, [*self.declared, *record.provenance.outputs]))
        for path in paths:
            self._check_written(path, record, guard)
            wholes = [Path(parent) for parent, _, names in os.walk(path) if MARKER in names]
            for whole in wholes:
                yield str(whole), True, list(walk(whole))
            files = [file for file in walk(Path(path)) if not any(file.is_relative_to(whole) for whole in wholes)]
            if files or not wholes:
                yield path, False, files

    def _check_written(self, path: str, record: JobRecord, guard: OutputGuard) -> None:
        """Refuse a path in the results of the job that it may not have written.

        Raises:
            NotPortable: it is older than the job, or contains the folder of the run.
        """
        real = Path(os.path.realpath(path))
        if Path.cwd().is_relative_to(real) or guard.ledger.work_dir.is_relative_to(real):
            raise NotPortable(f"its results name {path}, which contains the run")
        if real_path(path) in guard.claimed or self.paths.of_path(path) != path or path in self.declared:
            return
        if last_change(path) < ((record.provenance.started or 0.0) * 1e9 - TICK):
            raise NotPortable(f"its results name {path}, which it did not write")

    def _spelled(self, real: Path, anchors: Iterable[str]) -> str:
        if self.paths.of_path(str(real)) != str(real):
            return str(real)
        for anchor in anchors:
            for folder in (anchor, os.path.dirname(anchor) or "."):  # noqa: PTH120
                if real.is_relative_to(real_folder := os.path.realpath(folder)):
                    return os.path.normpath(os.path.join(folder, os.path.relpath(real, real_folder)))  # noqa: PTH118
        raise NotPortable(f"it writes {real}, which is not beside an output that its config names")

    def _check_target(self, path: str, names: Iterable[str]) -> None:
        """Check that a path of an entry is one that the job may write.

        Args:
            path: the path, with a placeholder.
            names: the names of its files.

        Raises:
            NotPortable: it lies neither in the work directory, nor at or beside what the configs name.
        """
        inner = self.paths.within(path)
        if inner is not None:
            is_named = ".." not in Path(inner).parts
        else:
            beside = [declared for declared in self.declared if os.path.dirname(declared) == os.path.dirname(path)]  # noqa: PTH120
            below = [declared for declared in self.declared if os.path.normpath(path).startswith(f"{declared}/")]
            is_named = path in self.mentioned or bool(beside) or bool(below)
        if not is_named or any(".." in Path(name).parts or name.startswith("/") for name in names):
            raise NotPortable(f"{self.paths.restored(path)} is not an output that its config names")

    def _restore_item(self, item: Mapping[str, LibraryObject]) -> None:
        target = Path(self.paths.restored(str(item["path"])))
        if item["whole"]:
            with replacing(target, folder=True) as part:
                part.mkdir()
                for file in item["files"]:
                    self._copy_out(file, part / file["name"])
            return
        if not item["files"]:
            target.mkdir(parents=True, exist_ok=True)
        for file in item["files"]:
            with replacing(target / file["name"] if file["name"] else target) as part:
                self._copy_out(file, part)

    def _copy_out(self, file: Mapping[str, LibraryObject], target: Path) -> None:
        source = self.folder / _FILES / str(file["file"])
        target.parent.mkdir(parents=True, exist_ok=True)
        if file["portable"]:
            target.write_bytes(self.paths.restored(source.read_bytes().decode()).encode())
        else:
            copy(source, target)

    @property
    def key(self) -> str:
        """The key of the entry."""
        return self.folder.name

    @staticmethod
    def _files(entry: Entry) -> Iterator[Mapping[str, LibraryObject]]:
        for item in entry.items:
            yield from item["files"]


def copy(source: Path, target: Path) -> None:
    """Copy the content of a file; on file systems that can, both share the blocks until one is changed."""
    with source.open("rb") as reader, target.open("xb") as writer:
        with suppress(OSError):  # another file system; what is copied then is the rest
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
                pass
        reader.seek(writer.seek(0, os.SEEK_END))
        shutil.copyfileobj(reader, writer, 1 << 20)


@contextmanager
def _temporary_folder(cache: Path) -> Iterator[Path]:
    """A new folder that is removed at the end unless it is renamed; locked, so that other runs leave it alone."""
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=cache))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        os.close(descriptor)
        remove(folder)


def _remove_stale(cache: Path) -> None:
    """Remove the temporary folders of processes that were killed."""
    for folder in cache.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if folder.stat().st_mtime > time.time() - _STALE:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
            finally:
                os.close(descriptor)
