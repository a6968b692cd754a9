"""A framework's work in a process of its own: a request goes in as a file, an answer for each model comes out."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.processes.handover import hand_over, private_folder
from data_juicer_sandbox.components.processes.program import Program
from data_juicer_sandbox.errors import JobError

LOGGED = 2000
NOTED = 80
KEY = "OPENAI_API_KEY"
"""Where the scripts, and the frameworks, look for the key of an API."""


@dataclass(frozen=True)
class ExternalHarness:
    """A framework.

    Args:
        library: its import name.
        install: what pip is to install for it.
        script: the path of what runs it; stands alone.
        python: an interpreter that has it; this one when None.
        api_key_env: the variable that holds an API's key.
    """

    library: str
    install: str
    script: str
    python: str | None
    api_key_env: str

    def answers(
        self, job: JobRun, models: list[str], request: dict[str, Any]
    ) -> Iterator[tuple[str, Path, dict[str, Any]]]:
        """Ask it about each model; gives each model's name, the folder where the script left
        its files, and the answer, as soon as it is there.

        Args:
            job: where to tell how far it is, and where the request lies meanwhile.
            models: as the request names them.
            request: what the script wants to know, plain values; `models` and `folder` are added.

        Raises:
            JobError: it is not installed, or failed.
        """
        if self.python is None and importlib.util.find_spec(self.library) is None:
            raise JobError(
                f"the Python package {self.library!r} is not installed",
                hint=f"{self.install}, here or in an environment whose interpreter `python` names",
            )
        with private_folder(job.folder) as folder:
            asked = folder / "request.json"
            hand_over(asked, {**request, "models": models, "folder": str(folder)})
            program = Program([self.python or sys.executable, self.script, str(asked)], env=self._environment())
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
                    while done < len(models) and (answer := folder / f"{done}.json").is_file():
                        yield models[done], folder, json.loads(answer.read_text(encoding="utf-8"))
                        task.advance(1)
                        done += 1
            for left in range(done, len(models)):
                yield models[left], folder, json.loads((folder / f"{left}.json").read_text(encoding="utf-8"))

    def _environment(self) -> dict[str, str]:
        found = {"TOKENIZERS_PARALLELISM": "false"}
        if key := os.environ.get(self.api_key_env):
            found[KEY] = key
        return found
