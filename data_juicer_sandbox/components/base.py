"""Interface of components: a component is a class whose constructor is its config and whose `run` does the work.

A constructor's parameters are the keys of `extra_configs` (a parameter named `dj_configs` receives the job's recipe).
Their types are checked before the run; the docstring is the source of the reference page. Type annotations of paths
state their role, so that the plan knows what a job reads and writes without running it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Protocol

from data_juicer_sandbox.components.metric_keys import MetricKey
from data_juicer_sandbox.imports import Library
from data_juicer_sandbox.types import Metrics


class Role(Enum):
    """The role of a path parameter."""

    INPUT = "read"
    OUTPUT = "written"
    MODEL = "model"


class Written(Enum):
    """How the path of an output parameter is written."""

    BY_NAME = "a file if the name has a file ending, else a folder to which files are added"
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
"""A model: a folder, or a hub id (so that a path that does not exist is not an error)."""
Models = Annotated[str | list[str], Role.MODEL]


class Task(Protocol):
    """A progress bar."""

    def advance(self, amount: float = 1) -> None:
        """Advance by `amount` of the total."""

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set the completed amount, the total, or a short note, such as the loss."""


class Progress(Protocol):
    """Progress display of a component."""

    def task(self, description: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Show a progress bar inside the `with` block; `total` is None if unknown."""


class Watching(Protocol):
    """Receives the metrics of a component, and returns those of earlier jobs."""

    def watch(self, values: Mapping[str, object], step: int | None = None) -> None:
        """Record numbers (nested mappings are flattened with dots) under this job's name."""

    def query(self, meta_name: str) -> Metrics:
        """The last value of each metric that the job of this name reported in its latest attempt."""


@dataclass(frozen=True)
class JobRun:
    """The context of a running component."""

    pipeline: str
    name: str
    """The job's `meta_name`."""
    folder: Path
    """The job's own folder, below the work directory; it exists."""
    watcher: Watching
    progress: Progress
    redo: bool = False
    """Whether the user asked to redo the job (`--force`): finished results of an earlier run must not be reused."""


class Component(ABC):
    """Base of all components.

    Attributes:
        outputs: names of the values that `run` returns, in order; None if they are not known in advance.
        metrics: what `run` reports to the watcher; None if it is not known in advance.
        numbers: the numbers in each output, by its name: `("mean", "0.loss")` for keys in it, `("",)` for an output
            that is a number, `()` for one without numbers, such as a path. An output that is missing here may hold any.
        requires: the libraries that `run` needs and that this package does not install by default. If they depend on
            the parameters, override `required_libraries`.
        result_version: is raised when a new version of the component gives other results for the same config, so that
            finished jobs run again.
    """

    outputs: ClassVar[tuple[str, ...] | None] = None
    metrics: ClassVar[tuple[MetricKey, ...] | None] = None
    numbers: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    requires: ClassVar[tuple[Library, ...]] = ()
    result_version: ClassVar[int] = 1

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[Library, ...]:
        """The libraries that `run` needs with these parameters; they are looked up before the first job starts.

        Args:
            values: the job's `extra_configs` as written: defaults are missing, and values may be invalid.
        """
        return cls.requires

    @abstractmethod
    def run(self, job: JobRun) -> Any:
        """Do the work. A tuple means several outputs; all values are Python, NumPy or pandas objects.

        Raises:
            JobError: an error that the user can fix.
        """


@dataclass(frozen=True)
class Item:
    """An independent part of a component's work.

    Args:
        name: unique within the job; also a file name.
        cpus: processor cores it can use; None: unknown.
    """

    name: str
    cpus: int | None = None


class FanOut(Component):
    """A component whose work consists of independent items, which processes can do side by side.

    `run` does all the work in this process. A run with a parallel backend calls, each in a process of its own, `items`,
    then `run_item` for every item, then `collect`, whose result must equal that of `run`. Each call gets a new object
    of the class with the same config, and the same `job.folder`; the items must not write the same files.
    """

    @abstractmethod
    def items(self, job: JobRun) -> Sequence[Item]:
        """The items, in a fixed order; fewer than two: `run` is called instead. Also does what all items share, such
        as checking the data.
        """

    @abstractmethod
    def run_item(self, job: JobRun, name: str) -> Any:
        """Do one item; returns plain values, NumPy or pandas objects.

        If the process was ended in between, the item is done again: it resumes from its files where it can.
        """

    @abstractmethod
    def collect(self, job: JobRun, results: Mapping[str, Any]) -> Any:
        """Combine the results of the items, by name in the order of `items`, to what `run` returns."""


class NullJob:
    """A watcher and progress display for use outside a run: keeps metrics in memory, shows nothing."""

    def __init__(self) -> None:
        self.values: list[tuple[int | None, Metrics]] = []

    def watch(self, values: Mapping[str, object], step: int | None = None) -> None:
        """Keep the values."""
        self.values.append((step, dict(values)))

    def query(self, meta_name: str) -> Metrics:
        """The last value of each metric."""
        return {key: value for _, values in self.values for key, value in values.items()}

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[NullJob]:
        """A progress bar that is not shown."""
        yield self

    def advance(self, amount: float = 1) -> None:
        """Show nothing."""

    def update(self, *, completed: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Show nothing."""
