"""Folders that a job writes as a whole, such as a model: a marker inside says which job wrote what.

A folder is replaced only if its marker names the same job, and if everything in it is listed there and unchanged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

from data_juicer_sandbox.errors import JobError

MARKER = ".dj_sandbox_output.json"
_VERSION = 2
_SMALL = 1 << 20
"""Bytes up to which a file is compared by its content; a larger one by its size, since reading it takes long."""
_SHOWN = 3
_HINT = "move it away, or choose another path"


class Owner(NamedTuple):
    """The job that writes a folder.

    Args:
        job: its label, with the phase; empty outside a run.
        work_dir: the absolute work directory of its run; empty outside a run.
    """

    job: str = ""
    work_dir: str = ""


def mark(folder: Path, owner: Owner) -> None:
    """Write the marker of a complete folder: its owner, and path and state of everything in it."""
    files = {name: _state(folder / name) for name in sorted(_entries(folder))}
    content = {"version": _VERSION, "job": owner.job, "work_dir": owner.work_dir, "files": files}
    (folder / MARKER).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def refuse_foreign(folder: Path, owner: Owner) -> None:
    """Refuse to replace a folder unless this owner wrote all that is in it.

    An empty folder may be replaced. A folder inside the owner's work directory may have been copied there with the
    whole directory, so there the job's label decides alone.

    Raises:
        JobError: somebody else wrote the folder, or part of it; names what is there.
    """
    entries = set(_entries(folder))
    if not entries:
        return
    written = _read_marker(folder)
    if written is None:
        what = f"{folder} is a folder that this job did not write; it contains {_listed(entries)}"
        raise JobError(what, hint=_HINT)
    job, work_dir, files = written
    copied_with_run = owner.work_dir and Path(os.path.realpath(folder)).is_relative_to(owner.work_dir)
    if job != owner.job or not (work_dir == owner.work_dir or copied_with_run):
        by = f"job {job!r} of {work_dir}" if job else "another program"
        raise JobError(f"{folder} is a folder that {by} wrote, not this job", hint=_HINT)
    if foreign := entries - files.keys():
        what = f"{folder} contains files that this job did not write: {_listed(foreign)}"
        raise JobError(what, hint="move them away, or choose another path")
    edited = {name for name in entries if files[name] not in (None, _state(folder / name))}
    if edited:
        raise JobError(
            f"{folder} contains files that were edited after this job wrote them: {_listed(edited)}", hint=_HINT
        )


def _read_marker(folder: Path) -> tuple[str, str, dict[str, str | None]] | None:
    """Job, work directory, and files with their states, of a marker; None without a valid one. A marker of an earlier
    version has no states.
    """
    path = folder / MARKER
    if path.is_symlink() or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = content["files"]
        states = dict(files) if isinstance(files, dict) else dict.fromkeys(files)
        return str(content["job"]), str(content["work_dir"]), states
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _state(path: Path) -> str:
    """Size of a file and digest of a small one, target of a link, or that it is a folder."""
    if path.is_symlink():
        return f"link {path.readlink()}"
    if not path.is_file():
        return "folder"
    size = path.stat().st_size
    return f"{size} {xxhash.xxh3_128_hexdigest(path.read_bytes())}" if size <= _SMALL else str(size)


def _entries(folder: Path) -> Iterator[str]:
    """The relative path of every file, link and empty folder below a folder, without the marker."""
    for root, folders, files in os.walk(folder):
        parent = Path(root)
        links = [name for name in folders if (parent / name).is_symlink()]
        for name in (*files, *links):
            if (relative := str((parent / name).relative_to(folder))) != MARKER:
                yield relative
        if not folders and not files and parent != folder:
            yield str(parent.relative_to(folder))


def _listed(names: set[str]) -> str:
    first = sorted(names)[:_SHOWN]
    return ", ".join(first) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
