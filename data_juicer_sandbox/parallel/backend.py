"""`Backend`: starts tasks and says which have ended. A task is a folder and a command that is run on it."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_juicer_sandbox.config.parallel import Parallel, Resources

WORKER = "data_juicer_sandbox.parallel.worker"


@dataclass(frozen=True)
class Submission:
    """A task that is to be run.

    Args:
        folder: the task's folder, absolute. Its name is not unique; its path is.
        label: the task in messages: `main.train`, `main.train: low_seed42`.
        resources: what it needs.
        module: the module that runs it, with the folder as its argument.
    """

    folder: Path
    label: str
    resources: Resources
    module: str = WORKER

    @property
    def command(self) -> list[str]:
        """The command that runs the task. It exits with 0 whenever it could write a result or a failure."""
        return [sys.executable, "-m", self.module, str(self.folder)]


@dataclass(frozen=True)
class Ended:
    """A task whose command has ended. Whether it succeeded is in its folder.

    Args:
        folder: the task's folder.
        reason: why the command ended without a result, in words that continue "its process", such as `ended as
            OUT_OF_MEMORY on node7`; empty if unknown.
    """

    folder: Path
    reason: str = ""


class Backend(ABC):
    """Runs the commands of tasks. All methods are called by one thread.

    A backend holds no results and decides nothing about the run: it can be replaced by another one between two runs of
    a work directory. It writes only into the folders of its tasks.
    """

    name: str

    def check(self, resources: Sequence[tuple[str, Resources]], folder: Path | None = None) -> None:  # noqa: B027
        """Check, before any work, that tasks can be run at all.

        Args:
            resources: what the tasks need, with the label of each.
            folder: the folder that holds those of the tasks, for backends whose tasks run on other machines.

        Raises:
            JobError: they cannot; one line that names what is missing.
        """

    def describe(self) -> str:
        """How tasks are run, for the user."""
        return f"jobs run side by side: {self.name}"

    @abstractmethod
    def submit(self, submissions: Sequence[Submission]) -> None:
        """Take tasks; start each as soon as there is room. A task that an earlier process submitted, and that is still
        queued or running, is found again by its folder, and not submitted twice.

        Raises:
            JobError: they cannot be submitted.
        """

    @abstractmethod
    def wait(self, seconds: float) -> list[Ended]:
        """Wait until a task ends, at most so long; returns those that have ended since the last call."""

    @abstractmethod
    def where(self, folder: Path) -> str:
        """Where a task runs (`pid 4711`, `node7, SLURM job 12_3`), or `queued`."""

    @abstractmethod
    def cancel(self, folders: Sequence[Path] | None = None) -> None:
        """End tasks with all their processes, and forget them; None: all tasks."""

    def close(self) -> None:  # noqa: B027
        """Release what the backend holds; tasks that still run are cancelled first."""


def open_backend(parallel: Parallel) -> Backend:
    """The backend that a config names.

    Raises:
        MissingDependency: its library is not installed.
        JobError: the cluster cannot be reached.
        ValueError: it is `serial`.
    """
    if parallel.backend == "local":
        from data_juicer_sandbox.parallel.local import LocalBackend

        return LocalBackend(parallel)
    if parallel.backend == "slurm":
        from data_juicer_sandbox.parallel.slurm import SlurmBackend

        return SlurmBackend(parallel)
    if parallel.backend == "ray":
        from data_juicer_sandbox.parallel.ray import RayBackend

        return RayBackend(parallel)
    raise ValueError(f"the backend {parallel.backend} runs jobs one after the other")
