"""Components for tests of jobs side by side."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from data_juicer_sandbox.components.base import Component, FanOut, Item, OutputFile
from data_juicer_sandbox.components.metric_keys import metric_keys
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing


class Meet(Component):
    """Ends only if its partner runs at the same time: each waits for the file of the other in the folder MEET."""

    outputs = ("partner",)
    metrics = ()

    def __init__(self, name: str, partner: str, patience: float = 60.0, export_path: OutputFile | None = None):
        self.folder, self.name, self.partner, self.patience = Path(os.environ["MEET"]), name, partner, patience

    def run(self, job):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / self.name).touch()
        deadline = time.monotonic() + self.patience
        while not (self.folder / self.partner).exists():
            if time.monotonic() > deadline:
                raise JobError(f"{self.partner} did not come")
            time.sleep(0.02)
        return self.partner


class Squares(FanOut):
    """The squares of numbers, one item for each; `log` gets a line for each that is computed.

    While a file `<log>.fail_<n>` exists, item n fails; `.kill_<n>` kills its process; `.wait_<n>` makes it wait.
    """

    outputs = ("table", "total")
    metrics = metric_keys("<n>", per_step=True)

    def __init__(self, numbers: list[int], log: str, export_path: OutputFile, note: object = None):
        self.numbers, self.log, self.export_path = numbers, log, Path(export_path)

    def run(self, job):
        return self.collect(job, {item.name: self.run_item(job, item.name) for item in self.items(job)})

    def items(self, job):
        return [Item(str(number), 1) for number in self.numbers]

    def run_item(self, job, name):
        if Path(f"{self.log}.fail_{name}").exists():
            raise JobError(f"the number {name} is bad", hint="another number")
        if Path(f"{self.log}.kill_{name}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        Path(f"{self.log}.begun_{name}").touch()
        with job.progress.task("squaring", total=3) as task:
            task.update(completed=1, note=f"number {name}")
            while Path(f"{self.log}.wait_{name}").exists():
                time.sleep(0.05)
        with replacing(job.folder / f"square_{name}.txt") as part:
            part.write_text(str(int(name) ** 2))
        job.watcher.watch({name: int(name) ** 2}, step=int(name))
        with Path(self.log).open("a") as stream:
            stream.write(f"{name} {os.getpid()}\n")
        return int(name) ** 2

    def collect(self, job, results):
        self.export_path.parent.mkdir(parents=True, exist_ok=True)
        self.export_path.write_text(" ".join(map(str, results.values())))
        table = pd.DataFrame({"number": list(map(int, results)), "square": list(results.values())})
        return table, sum(results.values())


class Secret(Component):
    """Uses a key."""

    outputs = ("length",)
    metrics = ()

    def __init__(self, api_key: str):
        self.api_key = api_key

    def run(self, job):
        print("the key is", self.api_key)
        subprocess.run(["sh", "-c", 'echo "the key of a program is $1"', "sh", self.api_key], check=True)
        return len(self.api_key)


class Surroundings(Component):
    """What a component sees of the run, and what a program that it starts does."""

    outputs = ("folder", "python_path")
    metrics = ()

    def run(self, job):
        print("written to", sys.stdout.encoding)
        sys.stdout.buffer.write(b"bytes\n")
        program = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout.splitlines()
        return str(job.folder), [line for line in program if line.startswith("PYTHONPATH=")]


class Texts(Component):
    """Texts of which some are equal."""

    outputs = ("texts",)
    metrics = ()

    def run(self, job):
        return ["a", "b", {"a": "b", "c": ["a", "a"]}]


class SecondTry(Component):
    """Fails at its first attempt."""

    outputs = ("attempt",)
    metrics = metric_keys("attempt_<n>")

    def run(self, job):
        attempt = len(list(job.folder.glob("attempt_*"))) + 1
        (job.folder / f"attempt_{attempt}").touch()
        job.watcher.watch({f"attempt_{attempt}": attempt})
        if attempt == 1:
            raise JobError("not yet")
        return attempt


class Exits(Component):
    """Ends its program, as a script of the user's may."""

    outputs = ("none",)
    metrics = ()

    def __init__(self, code: int):
        self.code = code

    def run(self, job):
        raise SystemExit(self.code)
