"""Which paths a job may write: never an input, and never a file of the run itself.

`OutputLedger` records, in the work directory, every path that the jobs of its runs wrote. `OutputGuard` compares one
job's inputs with its outputs, and renames a file that the run did not write before it is replaced; `files.claim` and
`files.replacing` ask it before they write.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.errors import JobError, WorkDirError
from data_juicer_sandbox.files import is_pattern, move_aside, open_append, real_path, refuse_replacing, refuse_special
from data_juicer_sandbox.output_folders import Owner
from data_juicer_sandbox.plain_json import loads

LEDGER = "written_files.jsonl"
RUN_FILES = (
    ".lock", "context_infos.pkl", "context_infos.prev.pkl", "context_infos.json", "context_infos.journal",
    "sandbox.log", "metrics.jsonl", "running.json",
    "config.json", "run.json", "iterations.json", "report.html", "wandb_run.json", "wandb_sweep.json", "study.journal",
    "trials.csv", "search.json", "best.yaml", LEDGER,
)  # fmt: skip
"""Files that the program itself writes into a work directory."""
RUN_FOLDERS = ("jobs", "trials", "front", "plots", "wandb", "previous_*")
"""Patterns of the folders that the program writes there. A job writes only to its own folder in them."""
_MOVED_FOLDERS = ("trials", "front", "plots")
"""Those that a new run moves aside as a whole."""
_TRACES = (
    ".lock", "context_infos.pkl", "context_infos.prev.pkl", "context_infos.json", "context_infos.journal",
    "sandbox.log", LEDGER,
)  # fmt: skip
"""Files of which every run leaves one."""

_PATTERN = re.compile(r"[*?\[]")


def refuse_links(work_dir: Path) -> None:
    """Refuse a work directory in which a file or folder of the run is a symbolic link: writing would change its target.

    Raises:
        WorkDirError: there is one; names all of them.
    """
    if not work_dir.is_dir():
        return
    names = (*RUN_FILES, *RUN_FOLDERS)
    links = sorted(
        entry.name
        for entry in os.scandir(work_dir)
        if entry.is_symlink() and any(fnmatch(entry.name, name) for name in names)
    )
    if links:
        are = "is a symbolic link" if len(links) == 1 else "are symbolic links"
        what = f"{', '.join(links)} {are}, but the run writes files with these names"
        raise WorkDirError(what, where=str(work_dir), hint="remove it, or choose another `work_dir`")


def has_run(work_dir: Path) -> bool:
    """Whether a folder is, or was, the work directory of a run."""
    return any(os.path.lexists(work_dir / name) for name in _TRACES)


def refuse_foreign_run_files(work_dir: Path) -> None:
    """Refuse a work directory without a trace of a run that holds files with the names of a run's files.

    They are somebody else's, such as the `config.json` of a model; the run would move or replace them.

    Raises:
        WorkDirError: there are some; names them.
    """
    if has_run(work_dir):
        return
    names = [name for name in (*RUN_FILES, *_MOVED_FOLDERS) if os.path.lexists(work_dir / name)]
    if names:
        what = f"{', '.join(names)} in it, but no checkpoint or log of a run: the folder is used for something else"
        raise WorkDirError(what, where=str(work_dir), hint="choose another `work_dir`")


class OutputLedger:
    """The files that the jobs of a work directory's runs wrote, as JSON lines.

    `{"path": P, "size": S, "mtime": T}`: a job wrote P, and left it in this state. `{"released": P}`: it did not.
    Any other state of P is not the run's: somebody may have put a file there after a run was killed. Paths inside the
    work directory are stored relative to it, so that the directory can be moved or copied.

    Args:
        work_dir: the work directory; the ledger is created with the first entry.
    """

    def __init__(self, work_dir: Path):
        self.work_dir = Path(os.path.realpath(work_dir))
        self._file = work_dir / LEDGER
        self._at = 0
        self._states: dict[str, tuple[int, int]] = {}
        self._counts: dict[str, int] = {}

    def wrote(self, path: Path) -> bool:
        """Whether a run of this work directory wrote the present content of a path."""
        name = self._name(path)
        self._read()  # a worker process of the same run may have added it
        return name in self._states and self._states[name] == _state(path)

    def entries(self, path: Path) -> int:
        """The number of times that a path was recorded as written."""
        self._read()
        return self._counts.get(self._name(path), 0)

    def settle(self, path: Path, file: Path | None = None) -> None:
        """Record the state in which a job left a path, or that it wrote nothing there.

        Args:
            path: the path.
            file: the file that is about to be renamed to it; a rename keeps size and mtime.
        """
        state, name = _state(path if file is None else file), self._name(path)
        if state is None:
            self._append({"released": name})
        else:
            self._append({"path": name, "size": state[0], "mtime": state[1]})

    def _append(self, entry: dict[str, object]) -> None:
        with open_append(self._file) as stream:
            # A line break in front: the last line may have been cut by a full disk.
            stream.write(b"\n" + json.dumps(entry).encode() + b"\n")

    def _name(self, path: Path) -> str:
        real = real_path(path)
        return str(real.relative_to(self.work_dir)) if real.is_relative_to(self.work_dir) else str(real)

    def _read(self) -> None:
        """Read the complete lines that were appended since the last call."""
        try:
            refuse_special(self._file)
            if self._file.stat().st_size <= self._at:
                return
        except FileNotFoundError:
            return
        with self._file.open("rb") as stream:
            stream.seek(self._at)
            lines, end, _ = stream.read().rpartition(b"\n")
        self._at += len(lines) + len(end)
        for line in lines.splitlines():
            try:
                entry = loads(line)
            except ValueError:
                continue  # an empty line, or one that was cut
            if not isinstance(entry, dict):
                continue
            path, size, mtime = (entry.get(key) for key in ("path", "size", "mtime"))
            if isinstance(path, str) and isinstance(size, int) and isinstance(mtime, int):
                self._states[path] = (size, mtime)
                self._counts[path] = self._counts.get(path, 0) + 1
            elif isinstance(entry.get("released"), str):
                self._states.pop(entry["released"], None)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and mtime of a file or of a link itself; None if the path does not exist."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


class OutputGuard:
    """Decides which paths one job may write.

    Args:
        work_dir: the work directory of the run.
        label: the job's label, with its phase.
        inputs: the files, folders and patterns that the job reads, its config files among them.
        ledger: what the runs of this work directory wrote.
        job_folder: the job's own folder; what lies in it needs no entry in the ledger.
        root: the folder of the trial or iteration that the job belongs to; the work directory by default.
    """

    def __init__(
        self,
        work_dir: Path,
        label: str,
        inputs: Iterable[str],
        ledger: OutputLedger,
        job_folder: Path | None = None,
        root: Path | None = None,
    ):
        self.ledger = ledger
        self.owner = Owner(label, str(ledger.work_dir))
        self._work_dir = Path(os.path.abspath(work_dir))  # noqa: PTH100  # takes `..` out, keeps links
        self._job_folder = None if job_folder is None else Path(os.path.realpath(job_folder))
        self._root = Path(os.path.realpath(root or work_dir))
        self._claimed: dict[Path, Path | None] = {}
        self.claimed: set[Path] = set()
        """Every path that the job announced, those in its own folder too; it may have written less."""
        self._entries: dict[Path, int] = {}
        self._sources = [_Source(path) for path in dict.fromkeys(inputs) if path and "\0" not in path]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the job reads."""
        return tuple(source.path for source in self._sources)

    def claim(self, path: Path, *, folder: bool = False) -> None:
        """Refuse a path that the job must not write.

        A file that is there already, and is not as a job of this work directory left it, gets a dated name.

        Raises:
            JobError: the path must not be written.
        """
        real = real_path(path)
        if real in self._claimed:
            return
        self.check(path, folder=folder)
        refuse_replacing(real, folder, self.owner)
        self.claimed.add(real)
        if self._in_job_folder(real):
            return
        self._claimed[real] = None if folder else self._move_foreign(real)
        self._entries[real] = self.ledger.entries(real)

    def before_rename(self, part: Path, final: Path) -> None:
        """Record a file just before it is renamed to its final path: a run killed after it knows its file again.

        A file that somebody put there while the job ran gets a dated name.
        """
        if self._in_job_folder(final):
            return
        if (aside := self._move_foreign(final)) is not None:
            self._claimed[final] = aside
        self.ledger.settle(final, part)

    def _move_foreign(self, path: Path) -> Path | None:
        """Rename a file that no job of this work directory wrote in its present state; returns its new path."""
        # A file with another name too is never written in place: the other name may be a copy of the user's.
        if not os.path.lexists(path) or (path.lstat().st_nlink == 1 and self.ledger.wrote(path)):
            return None
        if is_untrusted():
            raise JobError(
                f"{path} was not written by a job of this work directory", hint="--untrusted replaces no file"
            )
        aside = move_aside(path)
        logger.warning("{} was not written by a job of this work directory; it was renamed to {}", path, aside)
        return aside

    def settle(self, *, completed: bool = True) -> None:
        """Record how the job left what it claimed; what was renamed for a file that it did not write is restored.

        A file that was recorded before its rename is not recorded again: somebody may have edited it since.

        Args:
            completed: whether the job has completed. What a failed job did not record itself may be somebody else's.
        """
        for path, aside in self._claimed.items():
            if aside is not None and not os.path.lexists(path):
                self.claimed.discard(path)
                self.ledger.settle(path)
                aside.rename(path)
            elif not os.path.lexists(path) or (completed and self.ledger.entries(path) == self._entries.get(path, 0)):
                self.ledger.settle(path)
        self._claimed.clear()

    def check(self, path: Path, *, folder: bool = False) -> None:
        """Refuse a path that the job must not write.

        Args:
            path: the output.
            folder: it is a folder that is replaced as a whole.

        Raises:
            JobError: it is an input, belongs to one, is a file of the run, or lies behind a link in the work directory.
        """
        real = real_path(path)
        self._refuse_links(path)
        self._refuse_run_files(path, real)
        for source in self._sources:
            source.refuse_output(path, real, folder)

    def check_folder(self, path: Path) -> None:
        """Refuse a folder to which new files are to be added.

        Raises:
            JobError: it is a file, or lies in a folder that the job reads, or belongs to the run.
        """
        real = real_path(path)
        self._refuse_links(path)
        if not self._root.is_relative_to(real):  # adding files beside those of the run is allowed
            self._refuse_run_files(path, real)
        for source in self._sources:
            source.refuse_within(path, Path(os.path.realpath(path)))
        existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        if not existing.is_dir():
            raise JobError(f"{existing} is a file, but a folder is needed there", hint="choose another path")

    def _refuse_links(self, path: Path) -> None:
        """Refuse an output behind a link inside the work directory: the link leads to files outside of the run."""
        absolute, real = Path(os.path.abspath(path)), real_path(path)  # noqa: PTH100
        if absolute.is_relative_to(self._work_dir) and not real.is_relative_to(self.ledger.work_dir):
            what = f"{path} is outside of the work directory, behind a symbolic link"
            raise JobError(what, hint="replace it by a folder, or choose a path outside of the work directory")
        for parent in absolute.parents:
            if parent == self._work_dir or not parent.is_relative_to(self._work_dir):
                break
            if parent.is_symlink():
                what = f"{parent} is a symbolic link in the work directory, and the job would write to its target"
                raise JobError(what, hint="replace it by a folder, or choose a path outside of the work directory")

    def _refuse_run_files(self, path: Path, real: Path) -> None:
        work_dir = self.ledger.work_dir
        if self._in_job_folder(real):
            return
        if work_dir.is_relative_to(real) or self._root.is_relative_to(real):
            raise JobError(f"{path} is the folder of the run, or contains it", hint="choose another path")
        base = self._root if real.is_relative_to(self._root) else work_dir
        if not real.is_relative_to(base):
            return
        parts = real.relative_to(base).parts
        if (len(parts) == 1 and parts[0] in RUN_FILES) or any(fnmatch(parts[0], name) for name in RUN_FOLDERS):
            raise JobError(f"{path} is a file or folder of the run itself", hint="choose another path")

    def _in_job_folder(self, real: Path) -> bool:
        folder = self._job_folder
        return folder is not None and real != folder and real.is_relative_to(folder)


class _Source:
    """One input of a job: a file, a folder or a pattern."""

    def __init__(self, path: str):
        self.path = path
        self.is_pattern = is_pattern(path)
        self.real = real_path(Path(path))
        self.target = Path(os.path.realpath(path))
        self.is_folder = os.path.isdir(self.target)  # noqa: PTH112  # pathlib raises for too long a name

    def refuse_output(self, path: Path, real: Path, folder: bool) -> None:
        """Refuse an output that is this input, lies in it, or contains it."""
        if self.is_pattern:
            if matches(path, self.path):
                raise JobError(
                    f"{path} would be one of the files {self.path}, which is an input of the job", hint=_OTHER
                )
            return
        if real in (self.real, self.target) or (not self.is_folder and _same_file(path, self.target)):
            raise JobError(f"{path} is an input of the job", hint=_OTHER)
        self.refuse_within(path, real)
        if folder and self.target.is_relative_to(real):
            raise JobError(
                f"{path} contains {self.path}, which is an input of the job, and would be replaced as a whole",
                hint=_OTHER,
            )

    def refuse_within(self, path: Path, real: Path) -> None:
        """Refuse an output inside this folder."""
        if self.is_folder and real.is_relative_to(self.target):
            raise JobError(f"{path} lies in {self.path}, which is an input of the job", hint=_OTHER)


_OTHER = "choose another path for the output"


def matches(path: Path, pattern: str) -> bool:
    """Whether a pattern, in which `**` matches any folders, matches a path."""

    def match(names: Sequence[str], parts: Sequence[str]) -> bool:
        if not parts:
            return not names
        if parts[0] == "**":
            return match(names, parts[1:]) or (bool(names) and match(names[1:], parts))
        return bool(names) and fnmatchcase(names[0], parts[0]) and match(names[1:], parts[1:])

    return match(real_path(path).parts, _real_pattern(pattern).parts)


def _real_pattern(pattern: str) -> Path:
    """A pattern with the links in its folders resolved, up to the first folder that is itself a pattern."""
    parts = Path(os.path.abspath(pattern)).parts  # noqa: PTH100
    first = next(index for index, part in enumerate(parts) if _PATTERN.search(part))
    return Path(os.path.realpath(Path(*parts[:first])), *parts[first:])


def _same_file(path: Path, target: Path) -> bool:
    """Whether two paths are names of one file (hard links)."""
    try:
        return os.path.samefile(path, target)  # noqa: PTH121
    except OSError:
        return False
