"""Components that change the process they run in, or use the Python API themselves."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import data_juicer_sandbox as dj
from data_juicer_sandbox.components.base import Component, JobRun


class Curve(Component):
    """Record a loss for each step.

    Args:
        values: the losses.
    """

    outputs = ("last",)

    def __init__(self, values: list[float]):
        self.values = values

    def run(self, job: JobRun) -> float:
        for step, value in enumerate(self.values):
            job.watcher.watch({"loss": value}, step=step)
        job.watcher.watch({"last": self.values[-1]})
        return self.values[-1]


class ChangeProcess(Component):
    """Change the settings of the process, as libraries do when they are imported."""

    outputs = ("done",)

    def run(self, job: JobRun) -> bool:
        os.environ["SOME_LIBRARY_SETTING"] = "1"
        os.environ.pop("HOME")
        sys.stdout = sys.stderr
        logging.getLogger("transformers").addHandler(logging.StreamHandler(sys.stderr))
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        warnings.warn("take care", stacklevel=1)
        logging.basicConfig(force=True)
        return True


class RunSandbox(Component):
    """Run another config within a job.

    Args:
        config: the config.
    """

    outputs = ("outputs",)

    def __init__(self, config: dict[str, Any]):
        self.config = config

    def run(self, job: JobRun) -> list[str]:
        return list(dj.Sandbox({**self.config, "work_dir": str(job.folder / "inner")}).run())


class WriteInFolder(Component):
    """Write a file into the folder of the job.

    Args:
        name: the name of the file.
        as_path: return a `Path` object.
    """

    outputs = ("path",)

    def __init__(self, name: str, as_path: bool = False):
        self.name, self.as_path = name, as_path

    def run(self, job: JobRun) -> str | Path:
        path = job.folder / self.name
        path.write_text("model")
        return path if self.as_path else str(path)
