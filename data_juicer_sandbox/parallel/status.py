"""`running.json`: the tasks of a run that is going on, for `dj-sandbox status` in another terminal."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from data_juicer_sandbox.files import move_aside, open_regular
from data_juicer_sandbox.terminal.view import RunState

FILE = "running.json"
MAX_BYTES = 64 << 20


class Status(msgspec.Struct):
    """What `running.json` holds.

    Args:
        written: when it was written, in seconds since the epoch.
        pid: the process of the run.
        backend: what runs the tasks.
        state: the tasks and the counts of jobs.
    """

    written: float
    pid: int
    backend: str
    state: RunState


def write_status(work_dir: Path, backend: str, state: RunState) -> None:
    """Write the state of a run; a reader sees the old or the new file."""
    path = work_dir / FILE
    part = path.with_name(f".{FILE}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.encode(Status(time.time(), os.getpid(), backend, state)))
    part.replace(path)


def read_status(work_dir: Path) -> Status | None:
    """The state that the run of a work directory wrote last; None if there is none.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with open_regular(work_dir / FILE) as stream:
            return msgspec.json.decode(stream.read(MAX_BYTES), type=Status)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ValueError(f"{work_dir / FILE} is damaged: {error}") from error


def clear_status(work_dir: Path) -> None:
    """Remove the state of a run that was killed; a file of the user's that has this name is renamed."""
    try:
        if read_status(work_dir) is not None:
            (work_dir / FILE).unlink()
    except (ValueError, OSError):  # such as a folder
        move_aside(work_dir / FILE)
