"""What all trainers of language models share: one model for each data set and seed, made once, resumed, recorded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.lm import metadata, torch_env
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.processes.worker_pool import cores
from data_juicer_sandbox.components.train import launcher
from data_juicer_sandbox.components.train.callbacks import BrokeDown
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.files import claim, digest, output_owner, replacing
from data_juicer_sandbox.output_folders import Owner
from data_juicer_sandbox.user_code import UserCode


class ModelTrainer(Component):
    """Base of the trainers. A trainer is a dataclass: its fields are its config, and go to worker processes as such.

    Attributes:
        indifferent: parameters that the weights do not depend on.
    """

    outputs = ("models",)
    indifferent: ClassVar[frozenset[str]] = frozenset(
        ("dataset_path", "export_path", "seeds", "save_steps", "max_parallel")
    )

    dataset_path: str | list[str]
    export_path: str | None
    seeds: int | list[int]
    batch_size: int
    device_batch_size: int | None
    learning_rate: float | None
    warmup_ratio: Any
    weight_decay: Any
    max_grad_norm: float
    precision: str
    save_steps: int
    training_args: dict[str, Any] | None
    max_parallel: int
    num_processes: int
    threads: int | None

    @abstractmethod
    def prepared(self, job: JobRun, order: TrainingTask) -> AbstractContextManager[Any]:
        """What training needs of a data set: made once for all seeds, gone when the block ends."""

    @abstractmethod
    def train(
        self, job: JobRun, order: TrainingTask, data: Any, folder: Path, checkpoints: Checkpoints
    ) -> dict[str, Any]:
        """Train one model and save it into a folder; returns what is to be recorded about it: `steps`, `final_loss`, ..

        Args:
            job: where it happens.
            order: which model.
            data: what `prepared` gave.
            folder: where to save the model; to be made.
            checkpoints: where to go on from, and to save on the way.
        """

    def run(self, job: JobRun) -> list[str]:
        """Train all models; returns their folders, data set by data set, seed by seed."""
        orders = self.orders(job)
        todo = [order for order in orders if not self.stands(job, order)]
        for order in todo:
            claim(order.target, folder=True)
        if todo:
            self.check_data(job, todo)
        if todo and (self.num_processes > 1 or (self.max_parallel > 1 and len(todo) > 1)):
            launcher.train_all(job, self, todo)
        else:
            for _, group in groupby(todo, key=lambda order: order.dataset):
                self.make(job, list(group))
        return [order.folder for order in orders]

    def check_data(self, job: JobRun, orders: list[TrainingTask]) -> None:
        """Find what is wrong with the data of models that are to be trained, before the first one is.

        Raises:
            JobError: something is.
        """

    def orders(self, job: JobRun) -> list[TrainingTask]:
        """All models that are wanted, in the order of the result.

        Raises:
            JobError: a data set is not there.
        """
        paths = as_list(self.dataset_path)
        for path in paths:
            data_files(path)
        settings: dict[str, Any] = {
            "parameters": self.decisive(),
            "device": torch_env.device(),
            "precision": torch_env.precision(self.precision),
        }
        named = {key: value for key, value in self.config().items() if key not in self.indifferent}
        if code := UserCode().digests([type(self)], named):  # a reward function, say
            settings["code"] = code
        found = []
        for dataset, path in zip(distinct_names(paths), paths, strict=True):
            origin = {"dataset": dataset, "dataset_path": path, "dataset_digest": data_digest(path)}
            for seed in self.seed_list():
                name = f"{dataset}_seed{seed}"
                folder = str(Path(self.export_path or job.folder) / name)
                wanted = {**origin, **settings, "seed": seed}
                found.append(TrainingTask(name, dataset, path, seed, folder, wanted, tuple(output_owner())))
        return found

    def stands(self, job: JobRun, order: TrainingTask) -> bool:
        """Whether the model is there, made of just this; then its last figures are watched again."""
        if done := metadata.complete(order.target, order.wanted):
            logger.info("{} stands complete for the same data and parameters: not trained again", order.folder)
            job.watcher.watch({order.name: done.get("final") or {"loss": done["final_loss"]}}, step=done["steps"])
            self.recall(job, order, done["steps"])
        return bool(done)

    def recall(self, job: JobRun, order: TrainingTask, steps: int) -> None:
        """Watch what else the training of a model that stands would have ended with."""

    def make(self, job: JobRun, orders: list[TrainingTask]) -> None:
        """Train models on one data set, in this process."""
        with torch_env.deterministic(self.cpu_threads()), self.prepared(job, orders[0]) as data:
            for order in orders:
                checkpoints = Checkpoints(job.folder / "checkpoints", order.name, metadata.fingerprint(order.wanted))
                leads = torch_env.is_main_process()
                if leads:
                    checkpoints.sweep()
                try:
                    target = replacing(order.target, folder=True, owner=Owner(*order.owner))
                    with target if leads else _nowhere() as part:
                        trained = self.train(job, order, data, part, checkpoints)
                        if leads:
                            metadata.write(part, order.wanted, trained)
                except BrokeDown:
                    checkpoints.remove()
                    raise
                if leads:
                    checkpoints.remove()

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def decisive(self) -> dict[str, Any]:
        """The parameters that the weights depend on, for the record."""
        found = {key: value for key, value in self.config().items() if key not in self.indifferent}
        for key in ("model", "tokenizer_path", "chat_template"):
            if (given := found.get(key)) and Path(given).exists():
                found[key] = {"path": given, "digest": digest(given)}
        return {**found, "threads": self.cpu_threads()}

    def cpu_threads(self) -> int | None:
        """CPU threads of one model's training; None is torch's own choice."""
        if self.threads is None and self.max_parallel * self.num_processes > 1:
            return max(1, cores() // (self.max_parallel * self.num_processes))
        return self.threads

    def seed_list(self) -> list[int]:
        """The seeds."""
        return [self.seeds] if isinstance(self.seeds, int) else list(self.seeds)

    def per_device(self) -> tuple[int, int]:
        """Examples at once on a device, and how often that is done for a step."""
        each = self.batch_size // self.num_processes
        at_once = min(self.device_batch_size or each, each)
        return at_once, each // at_once

    def check_common(self) -> None:
        """Find what is wrong with the parameters that all trainers have.

        Raises:
            ConfigError: something is.
        """
        seeds = self.seed_list()
        if len(set(seeds)) != len(seeds) or not seeds or min(seeds) < 0:
            raise ConfigError(f"seeds {seeds} are not one or more different numbers from 0 on")
        if self.batch_size % self.num_processes:
            raise ConfigError(f"batch_size {self.batch_size} is not a multiple of num_processes {self.num_processes}")
        each = self.batch_size // self.num_processes
        if self.device_batch_size is not None and each % self.device_batch_size:
            raise ConfigError(
                f"the {each} examples that a process takes in a step are not a multiple of device_batch_size "
                f"{self.device_batch_size}"
            )

    def refuse(self, names: Iterable[str], why: str) -> None:
        """Refuse parameters that have no meaning here.

        Raises:
            ConfigError: one of them is given (differs from its default).
        """
        defaults = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        if given := [name for name in names if getattr(self, name) != defaults[name]]:
            raise ConfigError(f"{', '.join(given)}: {why}")


def data_digest(path: str) -> str:
    """The digest of a data set's content; of several files, of their digests in order."""
    files = data_files(path)
    return digest(files[0]) if len(files) == 1 else metadata.fingerprint({"files": [digest(file) for file in files]})


@contextmanager
def _nowhere() -> Iterator[Path]:
    """A folder for what a helping process saves; the leading one saves the model."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "unused"
