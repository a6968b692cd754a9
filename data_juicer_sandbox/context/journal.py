"""The journal beside the checkpoint: the records of the jobs that finished since the checkpoint was last written.

Writing the whole checkpoint after each job takes time that grows with the number of jobs; one entry of the journal does
not. An entry is a pickle of plain Python, as in the checkpoint, behind a header of fixed length:
`<length> <digest of the body> <digest of the header so far>`, all in hex. The first entry names the digest of the
checkpoint that the others add to, so a journal of another checkpoint is ignored. Each entry is flushed to the disk
before the next job starts: only the last one can be incomplete.
"""

from __future__ import annotations

import os
import pickle  # written with it; read by `pickle_reader`
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import xxhash

from data_juicer_sandbox.context import pickle_reader
from data_juicer_sandbox.context.arrays import Encoded
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.tagged_values import decode
from data_juicer_sandbox.errors import CheckpointError
from data_juicer_sandbox.files import open_append, open_regular, sync

NAME = "context_infos.journal"
_HEADER = re.compile(rb"(([0-9a-f]{16}) ([0-9a-f]{32})) ([0-9a-f]{16})\n")
_HEADER_BYTES = 16 + 1 + 32 + 1 + 16 + 1


@dataclass(frozen=True)
class Entry:
    """One finished job.

    Args:
        iteration: the index of its iteration, from 0.
        pipeline: its pipeline.
        record: its record.
    """

    iteration: int
    pipeline: str
    record: JobRecord


class Journal:
    """The journal of one work directory.

    Args:
        work_dir: the folder that contains it.
    """

    def __init__(self, work_dir: Path):
        self.path = work_dir / NAME
        self._stream: BinaryIO | None = None
        self.size = 0
        """Bytes that this object has written since the last `clear`."""

    @property
    def is_empty(self) -> bool:
        """Whether this object has written no entry since the last `clear`."""
        return self.size == 0

    def append(self, base: str, entry: bytes) -> None:
        """Add an entry and flush it to the disk; nothing of it remains if that fails.

        Args:
            base: the digest of the checkpoint that the journal adds to.
            entry: the entry, as `encode_entry` returns it.

        Raises:
            OSError: it cannot be written.
        """
        stream = self._stream
        if stream is None:
            self.path.unlink(missing_ok=True)  # of an earlier checkpoint
            stream = self._stream = open_append(self.path)
        data = entry if self.size else _frame({"base": base}) + entry
        try:
            view = memoryview(data)
            while view:
                view = view[stream.write(view) :]
            os.fsync(stream.fileno())
            if self.size == 0:
                sync(self.path.parent)
        except BaseException:
            os.ftruncate(stream.fileno(), self.size)
            raise
        self.size += len(data)

    def clear(self) -> None:
        """Remove the journal: the checkpoint contains its entries now."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self.size = None, 0
        self.path.unlink(missing_ok=True)

    def entries(self, base: str | None, max_bytes: int) -> list[Entry]:
        """The entries, in order; none if the journal does not exist or adds to another checkpoint.

        Args:
            base: the digest of the checkpoint; None: whatever checkpoint the journal adds to.
            max_bytes: the largest journal that is read.

        Raises:
            CheckpointError: an entry other than the last is damaged, or the journal holds something else.
        """
        try:
            with open_regular(self.path) as stream:
                data = stream.read(max_bytes + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"the journal cannot be read: {error.strerror}", where=str(self.path)) from error
        if len(data) > max_bytes:
            raise CheckpointError(f"the journal has more than {max_bytes:,} bytes", where=str(self.path))
        bodies = self._bodies(data)
        try:
            head = _loads(next(bodies, b""))
            if not isinstance(head, dict) or not isinstance(head.get("base"), str):
                raise ValueError("its first entry does not name a checkpoint")
            if base is not None and head["base"] != base:
                return []
            return [_entry(_loads(body)) for body in bodies]
        except CheckpointError:
            raise
        except EOFError:
            return []  # the run was killed while it wrote the first entry
        except Exception as error:  # decoding an array raises many types of errors
            raise self._damaged(str(error)) from error

    def _bodies(self, data: bytes) -> Iterator[bytes]:
        """The bodies of the whole entries. An incomplete last entry is dropped.

        Raises:
            CheckpointError: an entry is damaged, and a good one follows it.
        """
        start = 0
        while start < len(data):
            body = _body(data, start)
            if body is None:
                for match in _HEADER.finditer(data, start + 1):
                    if _body(data, match.start()) is not None:
                        raise self._damaged(f"the entry at byte {start:,}")
                return
            start += _HEADER_BYTES + len(body)
            yield body

    def _damaged(self, reason: str) -> CheckpointError:
        hint = f"mv {self.path} {self.path}.damaged; the jobs that it holds will run again"
        return CheckpointError(f"the journal of the checkpoint is damaged: {reason}", where=str(self.path), hint=hint)


def encode_entry(iteration: int, pipeline: str, record: Encoded) -> bytes:
    """An entry for `Journal.append`.

    Args:
        iteration: the index of the iteration, from 0.
        pipeline: the pipeline of the job.
        record: its encoded record.
    """
    return _frame({"iteration": iteration, "pipeline": pipeline, "record": record})


def replay(entries: list[Entry], context: ContextInfos) -> None:
    """Put the records of a journal into a context; its latest iteration becomes the current one."""
    for entry in entries:
        context.turn_to(entry.iteration)
        context.put(entry.pipeline, entry.record)
    context.turn_to(len(context.iterations) - 1)


def _frame(value: object) -> bytes:
    body = pickle.dumps(value, protocol=4)
    head = f"{len(body):016x} {xxhash.xxh3_128_hexdigest(body)}".encode()
    return head + b" " + xxhash.xxh3_64_hexdigest(head).encode() + b"\n" + body


def _body(data: bytes, start: int) -> bytes | None:
    """The body of the entry at a position; None if it is incomplete or damaged."""
    match = _HEADER.match(data, start)
    if match is None or xxhash.xxh3_64_hexdigest(match[1]).encode() != match[4]:
        return None
    body = data[match.end() : match.end() + int(match[2], 16)]
    return body if xxhash.xxh3_128_hexdigest(body).encode() == match[3] else None


def _loads(body: bytes) -> object:
    if not body:
        raise EOFError
    return pickle_reader.loads(body, repeats=False)


def _entry(value: object) -> Entry:
    """An entry as it was written.

    Raises:
        ValueError: the value has another shape.
    """
    if not isinstance(value, dict) or not isinstance(value.get("pipeline"), str):
        raise ValueError("an entry has no pipeline")
    iteration = value.get("iteration")
    if type(iteration) is not int or not 0 <= iteration < 1_000_000:
        raise ValueError("an entry has no iteration")
    return Entry(iteration, value["pipeline"], JobRecord.from_plain(decode(value.get("record"))))
