"""What a component is: a class whose constructor is its config, and whose `run` does the work.

A constructor's parameters are the keys of `extra_configs` (a parameter named `dj_configs` takes the job's recipe).
Their types are checked before the run, their docstring is the reference page. Paths say what they are for, so that
the plan knows what a job reads and writes without running it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol


class Role(Enum):
    """What a path parameter is to its component."""

    INPUT = "read"
    OUTPUT = "written"
    MODEL = "model"


class Written(Enum):
    """How the path of an output parameter is written."""

    BY_NAME = "a file where the name has the ending of one, else a folder that new files are put into"
    FILE = "a file"
    FOLDER = "a folder that is replaced as a whole"
    BY_PROGRAM = "a file or folder that a program of the user's writes"


InputPath = Annotated[str, Role.INPUT]
InputPaths = Annotated[str | list[str], Role.INPUT]
OutputPath = Annotated[str, Role.OUTPUT, Written.BY_NAME]
OutputFile = Annotated[str, Role.OUTPUT, Written.FILE]
OutputFolder = Annotated[str, Role.OUTPUT, Written.FOLDER]
ProgramOutput = Annotated[str, Role.OUTPUT, Written.BY_PROGRAM]
ProgramOutputs = Annotated[str | list[str], Role.OUTPUT, Written.BY_PROGRAM]
Model = Annotated[str, Role.MODEL]
"""A model: a folder, or the id of one on a hub (so a path that is not there is no error)."""
Models = Annotated[str | list[str], Role.MODEL]


class Task(Protocol):
    """One bar of progress."""

    def advance(self, amount: float = 1) -> None:
        """Move on by `amount` of the total."""

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set how far it is, how far it goes, or a short remark beside it, such as the loss."""


class Progress(Protocol):
    """Where a component tells how far it is."""

    def task(self, description: str, total: float | None = None) -> AbstractContextManager[Task]:
        """A bar that is there as long as the `with` block runs; `total` None where nobody knows."""


class Watching(Protocol):
    """Where a component hands its metrics, and finds those of earlier jobs."""

    def watch(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record numbers (nested mappings are flattened with dots) under this job's name."""

    def query(self, meta_name: str) -> dict[str, Any]:
        """The last value of everything that the job of this name watched in its latest attempt, by key."""


@dataclass(frozen=True)
class JobRun:
    """All that a component may touch while it runs."""

    pipeline: str
    name: str
    """The job's `meta_name`."""
    folder: Path
    """The job's own folder, below the work directory; it exists."""
    watcher: Watching
    progress: Progress


class Component(ABC):
    """Base of all components.

    Attributes:
        outputs: what `run` gives back, by name and in order, where that is known beforehand; None where it is not.
    """

    outputs: ClassVar[tuple[str, ...] | None] = None

    @abstractmethod
    def run(self, job: JobRun) -> Any:
        """Do the work. A tuple means several outputs; all values are plain Python, NumPy or pandas.

        Raises:
            JobError: for what the user can mend.
        """


class NullJob:
    """A `JobRun`'s watcher and progress for use outside a run: keeps metrics in memory, shows nothing."""

    def __init__(self) -> None:
        self.values: list[tuple[int | None, dict[str, Any]]] = []

    def watch(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Keep the values."""
        self.values.append((step, dict(values)))

    def query(self, meta_name: str) -> dict[str, Any]:
        """The last value of every key watched."""
        return {key: value for _, values in self.values for key, value in values.items()}

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[NullJob]:
        """A bar nobody sees."""
        yield self

    def advance(self, amount: float = 1) -> None:
        """Show nothing."""

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Show nothing."""
