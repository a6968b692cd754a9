"""Runs an evaluation framework in a separate process: it reads a request file and writes a result file per model."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.processes.handover import hand_over, private_folder
from data_juicer_sandbox.components.processes.program import Program
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.imports import is_installed
from data_juicer_sandbox.types import ConfigValues, Metrics

LOGGED = 2000
NOTED = 80
KEY = "OPENAI_API_KEY"
"""The environment variable from which the scripts and the frameworks read the API key."""


@dataclass(frozen=True)
class ExternalHarness:
    """An evaluation framework.

    Args:
        library: import name of the framework.
        install: the command that installs it.
        script: path of the script that runs it; the script imports nothing of this package.
        python: a Python interpreter with the framework; None: the current one.
        api_key_env: environment variable that holds the API key.
    """

    library: str
    install: str
    script: str
    python: str | None
    api_key_env: str

    def run(self, job: JobRun, models: list[str], request: ConfigValues) -> Iterator[tuple[str, Path, Metrics]]:
        """Evaluate all models; yields each model's name, the folder with the script's files, and the result, as soon as
        it is written.

        Args:
            job: the running job; its folder holds the request.
            models: the models.
            request: input of the script, in JSON values; `models` and `folder` are added.

        Raises:
            JobError: the framework is not installed, or failed.
        """
        if self.python is None and not is_installed(self.library):
            raise JobError(
                f"the Python package {self.library!r} is not installed",
                hint=f"{self.install}, here or in an environment whose interpreter `python` names",
            )
        with private_folder(job.folder) as folder:
            request_file = folder / "request.json"
            hand_over(request_file, {**request, "models": models, "folder": str(folder)})
            program = Program([self.python or sys.executable, self.script, str(request_file)], env=self._environment())
            with (
                job.progress.task(self.library, total=len(models)) as task,
                closing(program.run()) as lines,
            ):
                done = 0
                for line in lines:
                    text = program.masked(line.text).strip()
                    logger.debug("{}: {}", self.library, text[:LOGGED])
                    if text:
                        task.update(note=text[:NOTED])
                    while done < len(models) and (result := folder / f"{done}.json").is_file():
                        yield models[done], folder, json.loads(result.read_text(encoding="utf-8"))
                        task.advance(1)
                        done += 1
            for number in range(done, len(models)):
                yield models[number], folder, json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))

    def _environment(self) -> dict[str, str]:
        variables = {"TOKENIZERS_PARALLELISM": "false"}
        if key := os.environ.get(self.api_key_env):
            variables[KEY] = key
        return variables


def copy_samples(folder: Path, number: int, name: str, target: str | Path) -> None:
    """Copy the samples of the n-th model, `<n>_<task>.jsonl`, to `<target>/<name>_<task>_samples.jsonl`."""
    for file in sorted(folder.glob(f"{number}_*.jsonl")):
        task = file.stem.partition("_")[2]
        with replacing(Path(target) / f"{name}_{task}_samples.jsonl") as part:
            shutil.copyfile(file, part)
