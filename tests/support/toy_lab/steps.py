"""Components that do a little real work with files, slowly where a test wants to catch them at it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import JobError


class MakeRows(Component):
    """Write numbered rows.

    Args:
        export_path: the file.
        rows: how many.
        seed: of the numbers.
        delay: seconds to wait at each row.
    """

    outputs = ("path",)

    def __init__(self, export_path: OutputPath, rows: int = 20, seed: int = 0, delay: float = 0.0):
        self.export_path, self.rows, self.seed, self.delay = export_path, rows, seed, delay

    def run(self, job: JobRun) -> str:
        draw = random.Random(self.seed)
        return _write(self.export_path, ({"n": n, "x": draw.random()} for n in range(self.rows)), self.delay, job)


class ScaleRows(Component):
    """Multiply `x` of every row.

    Args:
        dataset_path: the rows.
        export_path: the file of the result.
        factor: what to multiply by.
        delay: seconds to wait at each row.
    """

    outputs = ("path", "rows")

    def __init__(self, dataset_path: InputPath, export_path: OutputPath, factor: float = 2.0, delay: float = 0.0):
        self.dataset_path, self.export_path, self.factor, self.delay = dataset_path, export_path, factor, delay

    def run(self, job: JobRun) -> tuple[str, int]:
        rows = ({**row, "x": row["x"] * self.factor} for row in read_rows(self.dataset_path))
        path = _write(self.export_path, rows, self.delay, job)
        return path, sum(1 for _ in read_rows(path))


class SumRows(Component):
    """The sum of `x` over data sets.

    Args:
        dataset_path: one or several.
        fail: raise instead.
    """

    outputs = ("sums",)

    def __init__(self, dataset_path: InputPaths, fail: bool = False):
        self.paths = [dataset_path] if isinstance(dataset_path, str) else dataset_path
        self.fail = fail

    def run(self, job: JobRun) -> dict[str, float]:
        if self.fail:
            raise JobError("told to fail", hint="set `fail: false`")
        sums = {Path(path).stem: sum(row["x"] for row in read_rows(path)) for path in self.paths}
        job.watcher.watch(sums)
        return sums


class Meddle(Component):
    """Read a data set while somebody else writes something else into it; put out its path.

    Args:
        dataset_path: the data set.
        text: what the other one writes.
    """

    outputs = ("path",)

    def __init__(self, dataset_path: InputPath, text: str):
        self.dataset_path, self.text = dataset_path, text

    def run(self, job: JobRun) -> str:
        Path(self.dataset_path).write_text(self.text)
        return self.dataset_path


class Measure(Component):
    """Put out how far a note is from a favourite one, by their place in a list.

    Args:
        note: a text.
        favourite: the number of the note that is best.
    """

    outputs = ("loss",)

    def __init__(self, note: str, favourite: int):
        self.note, self.favourite = note, favourite

    def run(self, job: JobRun) -> float:
        notes = ["1e5", "25921e05", "${x}", "yes", "2024-05-06"]
        return float(abs(notes.index(self.note) - self.favourite))


class Overwrite(Component):
    """Write a text into a file that nothing else in the config names.

    Args:
        path: the file.
        text: its new content.
    """

    outputs = ("done",)

    def __init__(self, path: str, text: str):
        self.path, self.text = path, text

    def run(self, job: JobRun) -> bool:
        Path(self.path).write_text(self.text)
        return True


class PlainWriter(Component):
    """Write a text; put out the path.

    Args:
        target: the file; a plain text, not declared as an output.
        text: its content.
    """

    outputs = ("path",)

    def __init__(self, target: str, text: str):
        self.target, self.text = target, text

    def run(self, job: JobRun) -> str:
        Path(self.target).write_text(self.text)
        return self.target


class InterruptOnce(Component):
    """Interrupt the run the first time, as Ctrl-C does; put out 1 from then on.

    Args:
        marker: a file that tells later runs of this one.
        after: anything; a job that this one waits for.
    """

    outputs = ("done",)

    def __init__(self, marker: str, after: Any = None):
        self.marker, self.after = Path(marker), after

    def run(self, job: JobRun) -> int:
        if not self.marker.exists():
            self.marker.touch()
            raise KeyboardInterrupt
        return 1


class Hidden(Component):
    """Write a number into a file whose path nothing but this code knows.

    Args:
        folder: where.
        stem: the file's name without its suffix.
        number: what to write.
    """

    outputs = ("number",)

    def __init__(self, folder: str, stem: str, number: float):
        self.folder, self.stem, self.number = folder, stem, number

    def run(self, job: JobRun) -> float:
        Path(self.folder, f"{self.stem}.jsonl").write_text(json.dumps({"x": self.number}) + "\n")
        return self.number


class Give(Component):
    """Put out what the config says.

    Args:
        value: anything.
        several: whether a list of values is several outputs.
    """

    def __init__(self, value: Any = None, several: bool = False):
        self.value, self.several = value, several

    def run(self, job: JobRun) -> Any:
        return tuple(self.value) if self.several else self.value


class Ask(Component):
    """Put out what a job watched.

    Args:
        job: its name.
        after: anything; a job that this one waits for.
    """

    def __init__(self, job: str, after: Any = None):
        self.job, self.after = job, after

    def run(self, job: JobRun) -> dict[str, Any]:
        return job.watcher.query(self.job)


class NeedsFile(Component):
    """Fail while a file does not exist.

    Args:
        path: the file; not declared as an input.
        after: anything; a job that this one waits for.
    """

    outputs = ("done",)

    def __init__(self, path: str, after: Any = None):
        self.path, self.after = path, after

    def run(self, job: JobRun) -> bool:
        if not Path(self.path).exists():
            raise JobError(f"{self.path} does not exist")
        return True


class Speak(Component):
    """Write to standard output and standard error in all ways, and let another process do so.

    Args:
        lines: how many.
        factor: put out as it is.
    """

    outputs = ("factor",)

    def __init__(self, lines: int = 3000, factor: float = 1.0):
        self.lines, self.factor = lines, factor

    def run(self, job: JobRun) -> float:
        for number in range(self.lines):
            print("a line of standard output", number)
            print("a line of standard error", number, file=sys.stderr)
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.buffer.flush()
        sys.stdout.flush()
        logger.warning("a warning")
        code = "import sys; [(print('child', file=f), f.flush()) for f in (sys.stdout, sys.stderr)]"
        subprocess.run([sys.executable, "-c", code], check=True)
        job.watcher.watch({"factor": self.factor})
        return self.factor


class Descend(Component):
    """Gradient descent on (x - 3)^2 from 0, the loss watched at each step.

    Args:
        rate: the learning rate; from 1 on it diverges.
        steps: how many.
        delay: seconds to wait at each step.
        fail_above: raise where the rate is higher.
        die_above: kill the own process where the rate is higher.
        log: a file that gets a line for each step made.
    """

    outputs = ("loss",)

    def __init__(
        self,
        rate: float,
        steps: PositiveInt = 10,
        delay: float = 0.0,
        fail_above: float | None = None,
        die_above: float | None = None,
        log: str | None = None,
    ):
        self.rate, self.steps, self.delay, self.log = rate, steps, delay, log
        self.fail_above, self.die_above = fail_above, die_above

    def run(self, job: JobRun) -> float:
        if self.fail_above is not None and self.rate > self.fail_above:
            raise JobError(f"a rate of {self.rate:.3g} is too high", hint="a lower one")
        if self.die_above is not None and self.rate > self.die_above:
            os.kill(os.getpid(), signal.SIGKILL)
        x = 0.0
        for step in range(1, self.steps + 1):
            x -= self.rate * 2 * (x - 3)
            job.watcher.watch({"loss": (x - 3) ** 2, "gain": -((x - 3) ** 2)}, step=step)
            if self.log:
                with Path(self.log).open("a") as stream:
                    stream.write(f"{self.rate} {step}\n")
            time.sleep(self.delay)
        return (x - 3) ** 2


def _write(path: str, rows: Any, delay: float, job: JobRun) -> str:
    """Straight into its place, on purpose: a run must cope with components that leave half files."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with job.progress.task("writing") as task, Path(path).open("w") as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            task.advance()
            time.sleep(delay)
    return path


class TwoResults(Component):
    """Put out what it got: the component of the user guide's example of a job.

    Args:
        arg1: the first result.
        arg2: a part of the second result.
        meta_paths: the other part.
    """

    outputs = ("first", "second")

    def __init__(self, arg1: str, arg2: int, meta_paths: list[str] | str):
        self.arg1, self.arg2, self.meta_paths = arg1, arg2, meta_paths

    def run(self, job: JobRun) -> tuple[str, list[object]]:
        """Put it out."""
        return self.arg1, [self.arg2, self.meta_paths]
