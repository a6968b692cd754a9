"""A plug-in as somebody else would write it: a component, a hook, a tracker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_juicer_sandbox.components.base import Component, InputPath, JobRun
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.hooks.builtin import GeneralProbeHook
from data_juicer_sandbox.watchers.base import Tracker


class CountRows(Component):
    """Count the rows of a data set.

    Args:
        dataset_path: the data set.
    """

    outputs = ("rows",)

    def __init__(self, dataset_path: InputPath):
        self.dataset_path = dataset_path

    def run(self, job: JobRun) -> int:
        count = sum(1 for _ in read_rows(self.dataset_path))
        job.watcher.watch({"rows": count})
        return count


class LoudProbeHook(GeneralProbeHook):
    """A probe whose number is doubled."""

    def run(self, resolved: Any, job: JobRun) -> Any:
        return 2 * super().run(resolved, job)


class PlainFile(Tracker):
    """Write what is watched into a text file."""

    def watch(self, pipeline: str, job: str, values: Mapping[str, Any], step: int | None, time: float) -> None:
        path = self.run.work_dir / "plain.txt"
        with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(f"{pipeline} {job} {key} {value}\n" for key, value in values.items())
