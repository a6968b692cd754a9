"""Components that are wrong in one way each; tests/testing checks that the checks notice."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from data_juicer_sandbox import files
from data_juicer_sandbox.components.base import Component, InputPath, JobRun, OutputFile
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys


class Good(Component):
    """Copy the lines of a file, upper case.

    Args:
        dataset_path: the file.
        export_path: the copy.
        settings: others.
    """

    outputs: Any = ("path",)

    def __init__(self, dataset_path: InputPath, export_path: OutputFile, settings: list[int] | None = None):
        self.dataset_path, self.export_path, self.settings = dataset_path, export_path, settings

    def run(self, job: JobRun) -> Any:
        lines = self.lines()
        with files.replacing(self.export_path) as part, part.open("w") as stream, job.progress.task("copying") as task:
            task.update(total=len(lines))
            for step, line in enumerate(lines):
                self.write(stream, line, job)
                job.watcher.watch({"lines": step}, step=step)
                task.advance()
        return self.result()

    def lines(self) -> list[str]:
        return Path(self.dataset_path).read_text().splitlines()

    def write(self, stream: Any, line: str, job: JobRun) -> None:
        stream.write(line.upper() + "\n")

    def result(self) -> Any:
        return self.export_path


class UndeclaredMetric(Good):
    """Report a metric that is not declared."""

    metrics = metric_keys("rows", per_step=True)


class UndeclaredStep(Good):
    """Report a metric with a step, and declare it without."""

    metrics = metric_keys("lines")


class UndeclaredNumber(Good):
    """Return a number that is not declared."""

    numbers = number_keys(path=("rows",))

    def result(self) -> Any:
        return {"lines": 3}


class NoComponent:
    """Run without the base class.

    Args:
        dataset_path: the file.
        export_path: not used.
    """

    outputs = None

    def __init__(self, dataset_path: InputPath, export_path: OutputFile):
        self.dataset_path = dataset_path

    def run(self, job: JobRun) -> int:
        return 1


class Abstract(Component):
    """Define no `run`."""

    def __init__(self, dataset_path: InputPath, export_path: OutputFile):
        """Args: none."""


class Untyped(Good):
    """Take a value of any type.

    Args:
        extra: it.
    """

    def __init__(self, dataset_path: InputPath, export_path: OutputFile, extra=1):
        super().__init__(dataset_path, export_path)


class Undocumented(Good):
    """Take a parameter that is nowhere described."""

    def __init__(self, dataset_path: InputPath, export_path: OutputFile, extra: int = 1):
        super().__init__(dataset_path, export_path)


class WronglyDocumented(Good):
    """Describe a parameter that it does not have.

    Args:
        data_set_path: the file.
    """


class WrongDefault(Good):
    """Have a default that its own type refuses.

    Args:
        extra: a number.
    """

    def __init__(self, dataset_path: InputPath, export_path: OutputFile, extra: int = "many"):  # type: ignore[assignment]
        super().__init__(dataset_path, export_path)


class OutputsAsText(Good):
    """Write `outputs` without a comma."""

    outputs = "path"


class ImportsHeavy(Good):
    """Import a heavy library in the constructor."""

    def __init__(self, dataset_path: InputPath, export_path: OutputFile):
        import pandas  # noqa: F401

        super().__init__(dataset_path, export_path)


class ReadsEarly(Good):
    """Read the data in the constructor."""

    def __init__(self, dataset_path: InputPath, export_path: OutputFile):
        super().__init__(dataset_path, export_path)
        self.text = Path(dataset_path).read_text()


class StartsProgram(Good):
    """Start a program in the constructor."""

    def __init__(self, dataset_path: InputPath, export_path: OutputFile):
        super().__init__(dataset_path, export_path)
        subprocess.run(["true"], check=True)


class ChangesValues(Good):
    """Change a list that is passed to it. It gets the caller's object, since its type allows any value."""

    def __init__(self, dataset_path: InputPath, export_path: OutputFile, settings: Any = None):
        super().__init__(dataset_path, export_path, settings)
        if settings:
            settings.append(1)


class Fails(Good):
    """Fail."""

    def lines(self) -> list[str]:
        raise ValueError("broken data")


class TooManyResults(Good):
    """Return two values, and declare one."""

    def result(self) -> Any:
        return self.export_path, 1


class StrangeResult(Good):
    """Return an object that no checkpoint can keep."""

    def result(self) -> Any:
        return object()


class PlainText(Good):
    """Not say that a text is a path."""

    def __init__(self, dataset_path: str, export_path: OutputFile):
        super().__init__(dataset_path, export_path)


class WritesElsewhere(Good):
    """Write a file that no parameter declares."""

    def result(self) -> Any:
        with files.replacing("cache.txt") as part:
            part.write_text("x")
        return self.export_path


class WritesOpenly(Good):
    """Write without a temporary file."""

    def run(self, job: JobRun) -> Any:
        with Path(self.export_path).open("w") as stream:
            for step, line in enumerate(self.lines()):
                stream.write(line.upper() + "\n")
                stream.flush()
                job.watcher.watch({"lines": step}, step=step)
        return self.export_path


class EditsInput(Good):
    """Change its input."""

    def result(self) -> Any:
        with Path(self.dataset_path).open("a") as stream:
            stream.write("done\n")
        return self.export_path


class LeavesTask(Good):
    """Open a progress task that is never closed."""

    def result(self) -> Any:
        self.task = self.job.progress.task("open", total=1)
        self.task.__enter__()
        return self.export_path

    def run(self, job: JobRun) -> Any:
        self.job = job
        return super().run(job)


class BeyondTotal(Good):
    """Advance too far."""

    def write(self, stream: Any, line: str, job: JobRun) -> None:
        super().write(stream, line, job)
        with job.progress.task("far", total=1) as task:
            task.advance(2)


class RandomLines(Good):
    """Draw from the random numbers of the process."""

    def lines(self) -> list[str]:
        return [str(random.random())]


class TimedResult(Good):
    """Return the time."""

    def result(self) -> Any:
        return time.time()


class SetsEnvironment(Good):
    """Set a variable of the environment."""

    def lines(self) -> list[str]:
        os.environ["BROKEN_PARTS"] = "1"
        return super().lines()


class ChangesFolder(Good):
    """Change the current folder."""

    def result(self) -> Any:
        os.chdir("/")
        return self.export_path


class ReplacesStdout(Good):
    """Replace the standard output."""

    def result(self) -> Any:
        sys.stdout = sys.__stdout__ if sys.stdout is not sys.__stdout__ else sys.stderr
        return self.export_path


class AddsLogHandler(Good):
    """Add a handler to the root logger."""

    def result(self) -> Any:
        logging.getLogger().addHandler(logging.NullHandler())
        return self.export_path


class SetsSignal(Good):
    """Handle a signal."""

    def result(self) -> Any:
        import signal

        signal.signal(signal.SIGUSR1, lambda number, frame: None)
        return self.export_path


class LeavesThread(Good):
    """Leave a thread running."""

    def result(self) -> Any:
        threading.Thread(target=time.sleep, args=(5,), daemon=True, name="left over").start()
        return self.export_path


class LeavesProcess(Good):
    """Leave a process running."""

    def result(self) -> Any:
        self.program = subprocess.Popen(["sleep", "5"])
        return self.export_path


class CatchesAll(Good):
    """Catch the end of a trial."""

    def run(self, job: JobRun) -> Any:
        with files.replacing(self.export_path) as part:
            part.write_text("x")
        for step in range(3):
            try:
                job.watcher.watch({"x": step}, step=step)
            except Exception:
                logging.debug("not recorded")
        return self.export_path


class CatchesInterrupt(Good):
    """Catch Ctrl+C and go on."""

    def run(self, job: JobRun) -> Any:
        try:
            return super().run(job)
        except KeyboardInterrupt:
            return self.export_path


class LeavesPart(Good):
    """Leave a temporary file behind if it is interrupted."""

    def run(self, job: JobRun) -> Any:
        temporary = Path(f"{self.export_path}.tmp")
        files.claim(self.export_path)
        with temporary.open("w") as stream:
            for step, line in enumerate(self.lines()):
                self.write(stream, line, job)
                job.watcher.watch({"lines": step}, step=step)
        temporary.rename(self.export_path)
        return self.export_path


class AlwaysStale(Good):
    """Change an input when it ends, so that every resumed run repeats the job."""

    def result(self) -> Any:
        Path(self.dataset_path).write_text(str(time.time_ns()))
        return self.export_path
