"""One process and all it starts: wall and CPU seconds, and the largest memory they held together.

Used as a script too: `python measuring.py SECONDS COMMAND...` (0: memory is not watched) prints what it took. The
largest size of a process counts from before it became what it is, so it must have a small parent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """What a process took.

    Args:
        wall: seconds.
        cpu: seconds, those of the processes it waited for among them.
        peak: MiB; of its largest process alone where memory was not watched.
    """

    wall: float
    cpu: float
    peak: float


def measure(command: Sequence[str | Path], cwd: Path, *, every: float = 0.0) -> Run:
    """Run a command that must end well.

    Args:
        command: what to run.
        cwd: where.
        every: seconds between looks at the memory of the whole tree; 0 for none, since looking takes time too.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    os.sync()  # what others wrote does not count
    launcher = [sys.executable, "-S", __file__, str(every), *map(str, command)]
    made = subprocess.run(launcher, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        log = (cwd / "measured.log").read_text(errors="replace")[-4000:]
        sys.exit(f"{' '.join(map(str, command))} exited {made.returncode}:\n{log}")
    return Run(*json.loads(made.stdout))


def launch(every: float, command: Sequence[str]) -> None:
    """Run the command, its output into `measured.log`; print wall and CPU seconds and MiB."""
    seen, done = [0.0], threading.Event()
    with Path("measured.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log)
        watcher = threading.Thread(target=watch, args=(process.pid, seen, done, every))
        if every:
            watcher.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    if every:
        watcher.join()
    print(json.dumps([wall, used.ru_utime + used.ru_stime, max(seen[0], used.ru_maxrss / 1024)]))
    sys.exit(process.returncode)


def watch(pid: int, seen: list[float], done: threading.Event, every: float) -> None:
    """Keep the largest sum in MiB of what the tree holds. Forked workers share pages: each page counts once (PSS)."""
    while not done.wait(every):
        seen[0] = max(seen[0], sum(pss(member) for member in tree(pid)) / 1024)


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue  # it has just ended
        for child in children:
            yield from tree(int(child))


def pss(pid: int) -> int:
    """KiB that a process holds, shared pages by its share; 0 where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    launch(float(sys.argv[1]), sys.argv[2:])
