"""Tasks whose command is a piece of Python instead of the worker, for tests of backends."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_juicer_sandbox.config.parallel import Resources
from data_juicer_sandbox.parallel.backend import Backend, Ended, Submission

BEGIN = """
import os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
with (folder / "attempts").open("a") as stream:
    stream.write(f"{time.time()} ")
attempt = len((folder / "attempts").read_text().split())
"""
END = """
(folder / "ended").write_text(str(time.time()))
(folder / "result.pkl").write_bytes(b"done")
"""


@dataclass(frozen=True)
class ScriptedTask(Submission):
    """A task that runs a piece of Python, and then writes its result.

    Args:
        code: it knows `folder`, and the number of the `attempt`.
    """

    code: str = ""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", f"{BEGIN}\n{self.code}\n{END}", str(self.folder)]

    @property
    def attempts(self) -> int:
        """How often it was started."""
        path = self.folder / "attempts"
        return len(path.read_text().split()) if path.exists() else 0

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()


def scripted(root: Path, *codes: str, resources: Resources | None = None) -> list[ScriptedTask]:
    """Tasks in folders of their own, with names that a shell would take apart."""
    tasks = []
    for number, code in enumerate(codes):
        folder = root / f"task {number} $HOME 'x'"
        folder.mkdir(parents=True)
        tasks.append(ScriptedTask(folder, f"main.job: {number}", resources or Resources(), code=code))
    return tasks


def wait_all(backend: Backend, tasks: Sequence[Submission], seconds: float = 60) -> dict[Path, Ended]:
    """Wait until all tasks have ended."""
    ended: dict[Path, Ended] = {}
    deadline = time.monotonic() + seconds
    while len(ended) < len(tasks):
        assert time.monotonic() < deadline, f"{len(ended)} of {len(tasks)} tasks ended within {seconds} s"
        ended.update({entry.folder: entry for entry in backend.wait(1)})
    return ended


def wait_until(condition: object, seconds: float = 60, backend: Backend | None = None) -> None:
    """Wait until a function returns something true; a backend does its work meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition did not become true"
        if backend is None:
            time.sleep(0.1)
        else:
            assert backend.wait(0.1) == []
