"""The checkpoint: `context_infos.pkl` and its readable copy. Only this module reads and writes these files.

After a job, the checkpoint is written as a whole, or the job is added to the journal (`journal.py`), so that a run of
many short jobs does not spend its time on writing the same records again and again.

The pickle is followed by a comment with its digest, which `pickle.load` ignores: any changed byte is detected here, and
the file can still be loaded without this package.
"""

from __future__ import annotations

import errno
import json
import math
import os
import pickle  # written with it; read by `pickle_reader`
import shutil
import time
from pathlib import Path

import xxhash

from data_juicer_sandbox.context import pickle_reader
from data_juicer_sandbox.context.arrays import Encoded
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.journal import Entry, Journal, encode_entry, replay
from data_juicer_sandbox.context.readable import to_json_value
from data_juicer_sandbox.context.tagged_values import decode, encode
from data_juicer_sandbox.context.unpickler import ALLOWED, loads
from data_juicer_sandbox.errors import CheckpointError
from data_juicer_sandbox.files import open_regular, replacing
from data_juicer_sandbox.secrets import mask_known

NAME = "context_infos.pkl"
PREVIOUS = "context_infos.prev.pkl"
READABLE = "context_infos.json"
_SEAL = b"\n#xxh3_128 "
MAX_BYTES = 4 << 30
"""The largest checkpoint that is written or read."""
WRITING_SHARE = 0.05
"""Maximum share of a run's time that is spent on writing the whole checkpoint; 0: only at its beginning and end."""


class Checkpoint:
    """The checkpoint of one work directory.

    Args:
        work_dir: the folder that contains it.
    """

    def __init__(self, work_dir: Path):
        self.path = work_dir / NAME
        self.previous = work_dir / PREVIOUS
        self.readable = work_dir / READABLE
        self._texts: dict[int, tuple[JobRecord, str]] = {}
        self._encoded: dict[int, tuple[JobRecord, Encoded]] = {}
        self._seen: set[int] = set()
        self._journal = Journal(work_dir)
        self._base: str | None = None
        self._base_size = 0
        self._next_write = 0.0
        self._has_replayed = False

    def exists(self) -> bool:
        """Whether a checkpoint exists, valid or not."""
        return self.path.exists() or self.previous.exists()

    def write(self, context: ContextInfos) -> None:
        """Write the context atomically: if the process dies, either the old or the new checkpoint exists.

        Raises:
            CheckpointError: it cannot be written. The previous checkpoint is unchanged.
        """
        started = time.monotonic()
        written: set[int] = set()
        iterations = [
            {
                pipeline: [self._encode(record, written) for record in records.values()]
                for pipeline, records in iteration.items()
            }
            for iteration in context.iterations
        ]
        body = pickle.dumps(iterations, protocol=4)
        self._check_size(len(body))
        digest = _digest(body)
        self._base = None
        try:
            with replacing(self.path, durable=True) as part:
                part.write_bytes(body + _SEAL + digest + b"\n")
                self._keep_previous()
            with replacing(self.readable) as part:
                # Half of a surrogate pair cannot be written as UTF-8; its escaped form is what JSON has for it.
                part.write_text(self._readable(context), encoding="utf-8", errors="backslashreplace")
            self._journal.clear()
        except OSError as error:
            raise _not_written(error, self.path) from error
        self._base, self._base_size = digest.decode(), len(body)
        self._has_replayed = context.has_removals = False
        now = time.monotonic()
        self._next_write = now + (now - started) / WRITING_SHARE if WRITING_SHARE else math.inf

    def is_due(self, context: ContextInfos) -> bool:
        """Whether the next job is to be saved by `write`: the journal cannot hold the change, or the last `write` was
        long enough ago.
        """
        return self._base is None or context.has_removals or time.monotonic() >= self._next_write

    def append(self, context: ContextInfos, pipeline: str, record: JobRecord) -> None:
        """Add a record of the current iteration to the journal, and flush it to the disk.

        Args:
            context: the context, which contains the record. This object wrote it before, and has saved each record
                that was put into it since.
            pipeline: the pipeline of the job.
            record: its record.

        Raises:
            CheckpointError: it cannot be written. What was saved before is unchanged.
        """
        if self._base is None:
            raise ValueError("`write` comes first")
        entry = encode_entry(context.index, pipeline, self._encode(record, set()))
        self._check_size(self._base_size + self._journal.size + len(entry))
        try:
            self._journal.append(self._base, entry)
        except OSError as error:
            raise _not_written(error, self._journal.path) from error

    def finish(self, context: ContextInfos) -> None:
        """Write the context, if the journal has entries: of this run, or of one that was killed.

        Raises:
            CheckpointError: it cannot be written. The previous checkpoint and the journal are unchanged.
        """
        if self._has_replayed or not self._journal.is_empty:
            self.write(context)

    def journal_entries(self) -> list[Entry]:
        """The records of the journal, whatever checkpoint they add to; the readable copy may be older than both.

        Raises:
            CheckpointError: the journal is damaged.
        """
        return self._journal.entries(None, MAX_BYTES)

    def _check_size(self, size: int) -> None:
        if size > MAX_BYTES:
            what = f"the checkpoint would have {size:,} bytes, and {MAX_BYTES:,} are allowed"
            hint = "return the paths of large files instead of their content"
            raise _run_failed(CheckpointError(what, where=str(self.path), hint=hint))

    def _encode(self, record: JobRecord, written: set[int]) -> Encoded:
        """A record as plain Python. It is encoded once, since records do not change.

        Args:
            record: the record. The cache keeps it and its texts as long as this object exists.
            written: ids of the records that this checkpoint contains already; a record that several iterations share is
                encoded again, so that the pickle has no references to earlier objects.
        """
        cached = self._encoded.get(id(record))
        if cached is None or cached[0] is not record or id(record) in written:
            # The record itself is a level around its outputs.
            cached = (record, encode(record.plain(), depth=-1, encoded_ids=self._seen))
            self._encoded.setdefault(id(record), cached)
        written.add(id(record))
        return cached[1]

    def _readable(self, context: ContextInfos) -> str:
        """The context as JSON with one record per line. A record is formatted once, since records do not change."""
        iterations = []
        for iteration in context.iterations:
            pipelines = []
            for pipeline, records in iteration.items():
                lines = ",\n   ".join(map(self._line, records.values()))
                pipelines.append(f"{json.dumps(pipeline, ensure_ascii=False)}: [\n   {lines}\n  ]")
            iterations.append("{\n  " + ",\n  ".join(pipelines) + "\n }")
        return '{"version": 1, "iterations": [\n ' + ",\n ".join(iterations) + "\n]}\n"

    def _line(self, record: JobRecord) -> str:
        cached = self._texts.get(id(record))
        if cached is None or cached[0] is not record:
            plain = mask_known(to_json_value(record.plain(trace=False)))  # nobody reads the digests
            text = json.dumps(plain, ensure_ascii=False)
            cached = self._texts[id(record)] = (record, text)
        return cached[1]

    def _keep_previous(self) -> None:
        """Link the current checkpoint to a second name before it is replaced, so that its first name always exists."""
        if not self.path.exists():
            return
        if self.previous.exists() and self.path.samefile(self.previous):
            return  # a run was killed after this step; rename(2) of one file to its other name would leave both
        with replacing(self.previous) as part:
            try:
                os.link(self.path, part)
            except OSError:  # a file system without hard links
                shutil.copyfile(self.path, part)

    def read(self, *, trust: bool = False) -> ContextInfos:
        """Load the checkpoint, and what the journal adds to it.

        Args:
            trust: also read a checkpoint of an earlier version with Python objects. A crafted file can run code.

        Raises:
            CheckpointError: it is damaged or refused; the hint names an earlier valid copy.
        """
        try:
            context, digest = _load(self.path, trust)
        except _Untrusted:
            raise
        except CheckpointError as error:
            try:
                _load(self.previous)
            except _Untrusted:
                hint = f"the copy before it is of an earlier version: mv {self.previous} {self.path}, then see there"
            except CheckpointError:
                hint = "no earlier copy is good; move it away, or run with `resume: false`"
            else:
                hint = f"the copy before it is good: mv {self.previous} {self.path}"
            raise CheckpointError(error.what, where=error.where, hint=hint) from error
        entries = self._journal.entries(digest, MAX_BYTES)
        replay(entries, context)
        self._has_replayed = bool(entries)
        return context

    def set_aside(self, *others: Path) -> Path | None:
        """Move the checkpoint of an old run and the other files of that run into a dated folder beside them."""
        old = [file for file in (self.path, self.previous, self.readable, self._journal.path, *others) if file.exists()]
        if not old:
            return None
        stem = time.strftime("previous_%Y%m%d_%H%M%S")
        folder = next(
            f for n in range(1, 10_000) if not (f := self.path.with_name(stem + (f"_{n}" if n > 1 else ""))).exists()
        )
        folder.mkdir()
        for file in old:
            file.rename(folder / file.name)
        return folder


def _run_failed(error: CheckpointError) -> CheckpointError:
    """The error with the exit code of a failed run: config and usage are correct."""
    error.exit_code = 1
    return error


def _not_written(error: OSError, path: Path) -> CheckpointError:
    hint = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "free some space, then resume: finished jobs are kept"
    what = f"the checkpoint cannot be written: {error.strerror}"
    return _run_failed(CheckpointError(what, where=str(path), hint=hint))


def _read_bytes(path: Path) -> bytes:
    """The bytes of a regular file of at most `MAX_BYTES`. A pipe or device may be endless.

    Raises:
        CheckpointError: it is not a regular file, or too large.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_BYTES + 100:  # the seal
            what = f"the checkpoint has {status.st_size:,} bytes, and {MAX_BYTES:,} are allowed"
            raise CheckpointError(what, where=str(path))
        return file.read(status.st_size)


def _digest(body: bytes) -> bytes:
    return xxhash.xxh3_128_hexdigest(body).encode()


class _Untrusted(CheckpointError):
    """A checkpoint that only `--trust-checkpoint` reads."""


def _load(path: Path, trust: bool = False) -> tuple[ContextInfos, str]:
    """The content of a checkpoint, and its digest."""
    try:
        data = _read_bytes(path)
    except OSError as error:
        raise CheckpointError(f"the checkpoint cannot be read: {error.strerror}", where=str(path)) from error
    body, seal, digest = data.rpartition(_SEAL)
    body = body if seal else data
    if seal and digest != _digest(body) + b"\n":
        raise CheckpointError("the checkpoint is damaged: its digest does not fit", where=str(path))
    try:
        return ContextInfos.from_plain(_value(body, path, trust)), _digest(body).decode()
    except CheckpointError:
        raise
    except Exception as error:  # the old pickle machine has a dozen kinds of error for a damaged file
        raise CheckpointError(f"the checkpoint cannot be used: {error}", where=str(path)) from error


def _value(body: bytes, path: Path, trust: bool) -> object:
    """The content of a checkpoint: plain Python, read without the `pickle` module.

    An earlier version also stored objects of NumPy, pandas and datetime. `unpickler` builds those from a list of
    allowed classes; but a crafted file can do harm with these alone.
    """
    try:
        return decode(pickle_reader.loads(body))
    except pickle_reader.NotPlain as error:
        module, _, name = error.names.rpartition(".")
        if (module, name) not in ALLOWED:
            raise
        if trust:
            return loads(body)
        what = f"the checkpoint was written by an earlier version, and holds Python objects ({error.names})"
        hint = "--trust-checkpoint reads it once; only if it is your own, since a crafted file could run code"
        raise _Untrusted(what, where=str(path), hint=hint) from error
