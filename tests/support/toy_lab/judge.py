"""A model of one parameter, for the hooks that ask a model."""

from __future__ import annotations

from typing import Any

from data_juicer_sandbox.components.base import Component, InputPath, JobRun
from data_juicer_sandbox.components.io import read_rows, write_rows


class LengthJudge(Component):
    """Score texts: 1 if they are longer than a limit, else 0.

    Args:
        dataset_path: the texts.
        limit: characters.
    """

    outputs = ("feedback", "summary")

    def __init__(self, dataset_path: InputPath, limit: int):
        self.dataset_path, self.limit = dataset_path, limit

    def run(self, job: JobRun) -> tuple[str, dict[str, Any]]:
        path = job.folder / "feedback.jsonl"
        rows = write_rows(
            path, ({**row, "score": float(len(row["text"]) > self.limit)} for row in read_rows(self.dataset_path))
        )
        return str(path), {"rows": rows}
