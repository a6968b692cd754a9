"""Hand a config to a child process by a file that only this user can read.

Arguments are not used, since every user of the machine can read them in `/proc`.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from data_juicer_sandbox.types import JsonValue

_PREFIX = ".handover_"
_removing = Lock()
"""Held while abandoned folders are removed: jobs train several models at a time, each in a thread."""


@contextmanager
def private_folder(parent: Path) -> Iterator[Path]:
    """A folder with mode 0700 that is removed when the block ends; first removes folders of killed processes.

    Args:
        parent: the folder of the job.
    """
    # Other processes may hand over configs in the same folder: those of other items of the job, on other machines too.
    host = f"{_PREFIX}{socket.gethostname()}_"
    with _removing:
        for abandoned in parent.glob(f"{glob.escape(host)}*"):
            process = abandoned.name.removeprefix(host).partition("_")[0]
            if not Path("/proc", process).exists() and abandoned.is_dir() and not abandoned.is_symlink():
                shutil.rmtree(abandoned)
    prefix = f"{host}{os.getpid()}_"
    with TemporaryDirectory(dir=parent, prefix=prefix) as folder:
        yield Path(folder)


def hand_over(path: Path, config: JsonValue) -> None:
    """Write a config as JSON into a new file with mode 0600; its reader removes it.

    Args:
        path: a file in a `private_folder`.
        config: plain values.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(config, stream)


def take_over(path: Path) -> JsonValue:
    """Read a config that was handed over, and remove the file."""
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return json.loads(text)
