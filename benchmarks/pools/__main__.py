"""The data pools against the disk: each job as a whole run of the sandbox, its files and rows checked.

Beside each stands what `cp` takes for the same output files. Memory is the peak of all processes together, seen in a
first round whose times do not count. Makes 0.6 GB of data and at most 1.2 GB of output in the current folder, on its
disk, and removes them.

python benchmarks/pools [ROUNDS] [WORKLOAD...]      (all by default; their short names are in workloads.py)
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from checks import Wrong
from data import make
from measuring import Run, measure
from workloads import OUT, WORKLOADS, Workload

SANDBOX = [sys.executable, "-m", "data_juicer_sandbox.cli.main"]
TIMES_CP = 4
LOOK = 0.02


def cp(folder: Path) -> float | None:
    """Seconds of copying the files that came out, or None where none did."""
    if not (folder / OUT).is_dir():
        return None
    os.sync()
    started = time.perf_counter()
    subprocess.run(["cp", "-r", OUT, "run/copy"], cwd=folder, check=True)
    return time.perf_counter() - started


def one_run(name: str, folder: Path, *, first: bool) -> tuple[Run, float | None]:
    """One run into fresh folders, what came out checked, then copied, then removed."""
    run = measure([*SANDBOX, "--config", f"{name}.yaml"], folder, every=LOOK if first else 0)
    try:
        if name in WORKLOADS:
            WORKLOADS[name].check(folder, first)
        return run, cp(folder)
    except (Wrong, ValueError) as error:
        sys.exit(f"{name}: {error}")
    finally:
        shutil.rmtree(folder / "run")


def within(value: float, goal: float | None, form: str = ".2f") -> str:
    """A figure, in bold where it misses its goal."""
    text = format(value, form)
    return f"**{text}**" if goal is not None and value > goal else text


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass
class Measured:
    """The runs of a workload, the first of which is for memory, and the seconds of copying what each put out."""

    runs: list[Run] = field(default_factory=list)
    copies: list[float | None] = field(default_factory=list)

    @property
    def wall(self) -> float:
        return statistics.median(run.wall for run in self.runs[1:])

    @property
    def cpu(self) -> float:
        return statistics.median(run.cpu for run in self.runs[1:])

    @property
    def peak(self) -> float:
        return max(run.peak for run in self.runs)

    def row(self, work: Workload, start: float) -> str:
        """Its line of the table."""
        beside = ("", "")
        if copies := [copied for copied in self.copies[1:] if copied is not None]:
            copied = statistics.median(copies)
            beside = (f"{copied:.2f}", within((self.wall - start) / copied, TIMES_CP, ".1f"))
        goal = str(work.mebibytes or "")
        times = (within(self.wall, work.seconds), str(work.seconds), work.original, f"{self.cpu:.2f}")
        return line(work.name, *times, within(self.peak, work.mebibytes, ".0f"), goal, *beside)


def main() -> None:
    words = sys.argv[1:]
    rounds = int(words.pop(0)) if words and words[0].isdigit() else 3
    if unknown := set(words) - set(WORKLOADS):
        sys.exit(f"no workload {', '.join(sorted(unknown))}: there are {', '.join(WORKLOADS)}")
    names = ["start", *(words or WORKLOADS)]
    measured = {name: Measured() for name in names}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:  # a real disk: /tmp may be memory
        folder = Path(temporary)
        make(folder)
        (folder / "start.yaml").write_text("work_dir: run/work\npipelines: {p: {}}\n")
        for name in names[1:]:
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(WORKLOADS[name].config(), sort_keys=False))
        for number in range(rounds + 1):
            for name in names:
                run, copied = one_run(name, folder, first=not number)
                measured[name].runs.append(run)
                measured[name].copies.append(copied)
                print(f"{name} {run.wall:.2f} s, {run.peak:.0f} MiB", file=sys.stderr, flush=True)
    start = measured["start"]
    memory = ("peak MiB", "goal", "`cp` of the output s", f"(wall - start-up) / `cp`, goal {TIMES_CP}")
    print(line(f"whole process, median of {rounds}", "wall s", "goal", "the original", "CPU s", *memory))
    print(line(*["---"] * 9))
    empty = (f"{start.wall:.2f}", "0.8", "12 s", f"{start.cpu:.2f}", f"{start.peak:.0f}", "", "", "")
    print(line("start-up: an empty pipeline", *empty))
    for name in names[1:]:
        print(measured[name].row(WORKLOADS[name], start.wall))


if __name__ == "__main__":
    main()
