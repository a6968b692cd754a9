"""What `ParallelRunner` remembers of the jobs that have begun, and which ones can begin next."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import xxhash

from data_juicer_sandbox.components.base import Item
from data_juicer_sandbox.config.schema import Job
from data_juicer_sandbox.engine.job_runner import PreparedJob
from data_juicer_sandbox.parallel.backend import Submission
from data_juicer_sandbox.parallel.task_streams import TaskStreams
from data_juicer_sandbox.parallel.tasks import Task, TaskFolder
from data_juicer_sandbox.types import LibraryObject


@dataclass
class RunningJob:
    """A job that has begun.

    Args:
        index: its position in the plan.
        prepared: its configs, and the state of what it reads.
        items: its items, if it has several.
        results: the results of the items that are done.
        code: the digests of the user's code that its tasks ran.
        started: when its first task began, in seconds since the epoch.
        is_shown: whether the screen shows that it has started.
    """

    index: int
    prepared: PreparedJob
    items: tuple[Item, ...] = ()
    results: dict[str, LibraryObject] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    started: float = math.inf
    is_shown: bool = False

    @property
    def job(self) -> Job:
        """The job."""
        return self.prepared.planned_job.job


@dataclass
class RunningTask:
    """A task that was submitted.

    Args:
        running_job: its job.
        task: what it does.
        folder: its folder.
        submission: how it was submitted.
        submitted: when, in seconds since the epoch.
        attempts: how often.
    """

    running_job: RunningJob
    task: Task
    folder: TaskFolder
    submission: Submission
    submitted: float
    attempts: int = 1

    def __post_init__(self) -> None:
        self.streams = TaskStreams(self.folder.path)


class ReadyJobs:
    """Says which jobs can begin.

    Args:
        before: for each job, by position, the jobs that must have ended before it begins.
    """

    def __init__(self, before: Mapping[int, AbstractSet[int]]):
        self._open = {index: set(others) for index, others in before.items()}
        self._later: dict[int, list[int]] = {}
        for index, others in before.items():
            for other in others:
                self._later.setdefault(other, []).append(index)
        self._ready = [index for index, others in before.items() if not others]

    def take_ready(self) -> list[int]:
        """The jobs that can begin now and were not returned before, in order."""
        ready, self._ready = sorted(self._ready), []
        return ready

    def ended(self, index: int) -> None:
        """A job has ended."""
        for later in self._later.get(index, ()):
            self._open[later].discard(index)
            if not self._open[later]:
                self._ready.append(later)


def item_folder(item: str) -> str:
    """The name of an item's folder: readable, and unique."""
    readable = re.sub(r"[^\w.-]+", "_", item)[:80]
    return f"item_{readable}_{xxhash.xxh3_64_hexdigest(item.encode(errors='surrogatepass'))[:8]}"
