"""Base of the trainers of language models: trains one model per data set and seed, resumes and records it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from loguru import logger

from data_juicer_sandbox.components.base import FanOut, Item, JobRun, Task
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.lm import metadata, torch_env
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.processes.hardware import cores
from data_juicer_sandbox.components.train import launcher, training_args
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.components.train.hf_trainer import TrainingDiverged
from data_juicer_sandbox.components.train.parameters import TrainingTask
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.file_digests import digest
from data_juicer_sandbox.files import claim, output_owner, replacing
from data_juicer_sandbox.imports import Library, libraries
from data_juicer_sandbox.output_folders import Owner
from data_juicer_sandbox.plain_json import fingerprint
from data_juicer_sandbox.types import ConfigValues, LibraryObject, Metrics
from data_juicer_sandbox.user_code import UserCode


class ModelTrainer(FanOut):
    """Base of the trainers. A trainer is a dataclass: its fields are its config, and go to worker processes as such.

    Attributes:
        unfingerprinted_params: parameters that do not change the weights.
        arguments_class: name of the config class that receives `training_args`.
        decided_args: arguments of that class that this trainer sets, beyond those that all trainers set.
    """

    outputs = ("models",)
    metrics = (*metric_keys("<metric>", under="{dataset_path}_seed{seeds}", per_step=True), *BAD_ROWS)
    numbers = number_keys(models=())
    requires = libraries(torch_env.EXTRA, "torch", "transformers", "accelerate")
    unfingerprinted_params: ClassVar[frozenset[str]] = frozenset(
        ("dataset_path", "export_path", "seeds", "save_steps", "max_parallel", "skip_bad_rows")
    )
    arguments_class: ClassVar[str] = "TrainingArguments"
    decided_args: ClassVar[frozenset[str]] = frozenset()

    dataset_path: str | list[str]
    export_path: str | None
    seeds: int | list[int]
    batch_size: int
    device_batch_size: int | None
    learning_rate: float | None
    warmup_ratio: Any
    weight_decay: Any
    max_grad_norm: float
    precision: Literal["auto", "float32", "bfloat16"]
    skip_bad_rows: int = 0
    save_steps: int
    training_args: ConfigValues | None
    max_parallel: int | None
    num_processes: int
    threads: int | None

    @abstractmethod
    def prepare_data(self, job: JobRun, training_task: TrainingTask) -> AbstractContextManager[Any]:
        """Prepare a data set once for all seeds; the data is removed when the `with` block ends."""

    @abstractmethod
    def train(
        self, job: JobRun, training_task: TrainingTask, data: Any, folder: Path, checkpoints: Checkpoints
    ) -> Metrics:
        """Train one model and save it; returns the metadata to record, such as `steps` and `final_loss`.

        Args:
            job: the running job.
            training_task: the model to train.
            data: the value that `prepare_data` yielded.
            folder: folder to create and save the model in.
            checkpoints: checkpoints to resume from and to write during training.
        """

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[Library, ...]:
        """Low-rank adapters need peft."""
        has_adapters = values.get("method") == "lora" or values.get("lora") is True
        return cls.requires + (libraries(torch_env.EXTRA, "peft") if has_adapters else ())

    def run(self, job: JobRun) -> list[str]:
        """Train all models; returns their folders, data set by data set, seed by seed."""
        training_tasks = self.training_tasks(job)
        pending = [task for task in training_tasks if job.redo or not self.is_complete(job, task)]
        for training_task in pending:
            claim(training_task.target, folder=True)
        if pending:
            self.check_data(job, pending)
        if pending:
            with job.progress.task("model", total=len(pending)) as models:
                self._train_pending(job, pending, models)
        return [training_task.folder for training_task in training_tasks]

    def items(self, job: JobRun) -> list[Item]:
        """The models, if several are to be trained and a process for each is worth its start."""
        training_tasks = self.training_tasks(job)
        pending = [task for task in training_tasks if job.redo or not metadata.complete(task.target, task.inputs)]
        if not self.is_worth_processes(len(pending)):
            return []
        for training_task in pending:
            claim(training_task.target, folder=True)
        self.check_data(job, pending)
        cpus = (self.cpu_threads() or cores()) * self.num_processes if torch_env.device() == "cpu" else None
        return [Item(training_task.name, cpus) for training_task in training_tasks]

    def is_worth_processes(self, models: int) -> bool:
        """Whether the training of so many models is large enough for a process for each."""
        return models > 1

    def run_item(self, job: JobRun, name: str) -> str:
        """Train one model, unless it is complete; returns its folder."""
        training_task = next(task for task in self.training_tasks(job) if task.name == name)
        if job.redo or not self.is_complete(job, training_task):
            claim(training_task.target, folder=True)
            with job.progress.task("model", total=1) as models:
                self._train_pending(job, [training_task], models)
        return training_task.folder

    def collect(self, job: JobRun, results: Mapping[str, str]) -> list[str]:
        """The folders of all models; data set by data set, seed by seed."""
        return list(results.values())

    def _train_pending(self, job: JobRun, pending: list[TrainingTask], models: Task) -> None:
        parallel = self.parallel(job, len(pending))
        if self.num_processes > 1 or (parallel > 1 and len(pending) > 1):
            launcher.train_all(job, self, pending, parallel, models)
            return
        for _, group in groupby(pending, key=lambda training_task: training_task.dataset):
            self.train_group(job, list(group), models)

    def check_data(self, job: JobRun, training_tasks: list[TrainingTask]) -> None:
        """Check the training arguments and the data of all pending models before any data is prepared.

        Raises:
            JobError: an argument or the data is invalid.
        """
        if self.training_args:
            training_args.arguments(self.config_class(), self, 0, job.folder, **self.fixed_arguments())

    def allowance(self) -> Allowance:
        """The bad rows that are skipped when a data set is read again; `check_data` has counted and named them."""
        return Allowance(self.skip_bad_rows, named=False)

    @abstractmethod
    def config_class(self) -> LibraryObject:
        """The class of the training arguments; its name is `arguments_class`."""

    def fixed_arguments(self) -> ConfigValues:
        """Training arguments that depend on this trainer's parameters only."""
        return {}

    def training_tasks(self, job: JobRun) -> list[TrainingTask]:
        """The models to train, in the order of the result.

        Raises:
            JobError: a data set does not exist.
        """
        paths = as_list(self.dataset_path)
        for path in paths:
            data_files(path)
        settings: ConfigValues = {
            "parameters": self.fingerprint_params(),
            "device": torch_env.device(),
            "precision": torch_env.precision(self.precision),
        }
        fingerprinted = {key: value for key, value in self.config().items() if key not in self.unfingerprinted_params}
        if code := UserCode().digests([type(self)], fingerprinted):  # for example a reward function
            settings["code"] = code
        training_tasks = []
        for dataset, path in zip(distinct_names(paths), paths, strict=True):
            origin = {"dataset": dataset, "dataset_path": path, "dataset_digest": data_digest(path)}
            for seed in self.seed_list():
                name = f"{dataset}_seed{seed}"
                folder = str(Path(self.export_path or job.folder) / name)
                inputs = {**origin, **settings, "seed": seed}
                training_tasks.append(TrainingTask(name, dataset, path, seed, folder, inputs, tuple(output_owner())))
        return training_tasks

    def is_complete(self, job: JobRun, training_task: TrainingTask) -> bool:
        """Check whether the model exists and was trained from the same inputs; if so, report its final metrics."""
        if record := metadata.complete(training_task.target, training_task.inputs):
            logger.info("{} is complete for the same data and parameters: not trained again", training_task.folder)
            final_metrics = record.get("final") or {"loss": record["final_loss"]}
            job.watcher.watch({training_task.name: final_metrics}, step=record["steps"])
            self.report_existing_model(job, training_task, record["steps"])
        return bool(record)

    def report_existing_model(self, job: JobRun, training_task: TrainingTask, steps: int) -> None:
        """Report the further final metrics of a model that is complete, such as its evaluation."""

    def train_group(self, job: JobRun, training_tasks: list[TrainingTask], models: Task | None = None) -> None:
        """Train models on one data set, in this process.

        Args:
            job: the running job.
            training_tasks: the models.
            models: the progress bar that counts trained models.
        """
        with torch_env.deterministic(self.cpu_threads()), self.prepare_data(job, training_tasks[0]) as data:
            for training_task in training_tasks:
                inputs_digest = fingerprint(training_task.inputs)
                checkpoints = Checkpoints(job.folder / "checkpoints", training_task.name, inputs_digest)
                is_main_process = torch_env.is_main_process()
                if is_main_process:
                    checkpoints.sweep()
                try:
                    target = replacing(training_task.target, folder=True, owner=Owner(*training_task.owner))
                    with target if is_main_process else _discarded_folder() as part:
                        trained = self.train(job, training_task, data, part, checkpoints)
                        if is_main_process:
                            metadata.write(part, training_task.inputs, trained)
                except TrainingDiverged:
                    checkpoints.remove()
                    raise
                if is_main_process:
                    checkpoints.remove()
                if models is not None:
                    models.advance(1)

    def config(self) -> ConfigValues:
        """The constructor's arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def fingerprint_params(self) -> ConfigValues:
        """The parameters that determine the weights; they are fingerprinted and recorded."""
        params = {key: value for key, value in self.config().items() if key not in self.unfingerprinted_params}
        for key in ("model", "tokenizer_path", "chat_template"):
            if (path := params.get(key)) and Path(path).exists():
                params[key] = {"path": path, "digest": digest(path)}
        return {**params, "threads": self.cpu_threads()}

    def cpu_threads(self) -> int | None:
        """CPU threads for training one model; None: torch's default."""
        processes = (self.max_parallel or 1) * self.num_processes
        if self.threads is None and processes > 1:
            return max(1, cores() // processes)
        return self.threads

    def parallel(self, job: JobRun, models: int) -> int:
        """The number of models to train at the same time.

        Args:
            job: the running job.
            models: number of models to train.
        """
        return self.max_parallel or 1

    def seed_list(self) -> list[int]:
        """The seeds."""
        return [self.seeds] if isinstance(self.seeds, int) else list(self.seeds)

    def per_device(self) -> tuple[int, int]:
        """The batch size per device and the number of gradient accumulation steps."""
        process_batch_size = self.batch_size // self.num_processes
        device_batch_size = min(self.device_batch_size or process_batch_size, process_batch_size)
        return device_batch_size, process_batch_size // device_batch_size

    def check_common(self) -> None:
        """Check the parameters that all trainers share.

        Raises:
            ConfigError: a parameter is invalid.
        """
        seeds = self.seed_list()
        if len(set(seeds)) != len(seeds) or not seeds or min(seeds) < 0:
            raise ConfigError(f"seeds {seeds}: expected one or more distinct numbers, each 0 or more")
        if self.batch_size % self.num_processes:
            raise ConfigError(f"batch_size {self.batch_size} is not a multiple of num_processes {self.num_processes}")
        process_batch_size = self.batch_size // self.num_processes
        if self.device_batch_size is not None and process_batch_size % self.device_batch_size:
            raise ConfigError(
                f"each process takes {process_batch_size} examples per step, which is not a multiple of "
                f"device_batch_size {self.device_batch_size}"
            )
        training_args.check_training_args(self.training_args or {}, self.arguments_class, self.decided_args)

    def refuse(self, names: Iterable[str], why: str) -> None:
        """Reject parameters that do not apply to this configuration.

        Raises:
            ConfigError: one of them differs from its default.
        """
        defaults = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        if changed := [name for name in names if getattr(self, name) != defaults[name]]:
            raise ConfigError(f"{', '.join(changed)}: {why}")


def data_digest(path: str) -> str:
    """The digest of a data set's content; for several files, the fingerprint of their digests in order."""
    files = data_files(path)
    return digest(files[0]) if len(files) == 1 else fingerprint({"files": [digest(file) for file in files]})


@contextmanager
def _discarded_folder() -> Iterator[Path]:
    """A temporary folder for the output of the other processes; only the main process saves the model."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "unused"
