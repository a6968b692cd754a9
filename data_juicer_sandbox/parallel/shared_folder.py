"""Whether other machines see a folder, and whether this machine sees what they wrote into one."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_juicer_sandbox.parallel.tasks import FAILURE, RESULT

_LOCAL = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}
"""File systems of one machine. An unknown one counts as shared."""


def has_outcome(folder: Path) -> bool:
    """Whether a task's folder has a result or a failure. It is listed, since network file systems then look anew."""
    try:
        return not {RESULT, FAILURE}.isdisjoint(os.listdir(folder))  # noqa: PTH208
    except FileNotFoundError:
        return False


def is_local(folder: Path) -> bool:
    """Whether the file system of a folder belongs to this machine alone, as far as its type tells."""
    best, kind = "", ""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        mount = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        if folder.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, fields[fields.index("-") + 1]
    return kind in _LOCAL


@contextmanager
def probe_file(folder: Path) -> Iterator[Path]:
    """An empty file in a folder, to be looked for on another machine; removed afterwards."""
    handle, name = tempfile.mkstemp(prefix=".visible-", dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
