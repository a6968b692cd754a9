"""Base of the trl trainers: loads the model and its tokenizer, writes the rows to disk, adds LoRA adapters, orders the
rows, and selects as many as the budget covers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from loguru import logger

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.lm import loading, lora, torch_env
from data_juicer_sandbox.components.lm.model_check import check_token
from data_juicer_sandbox.components.train import chat, hf_trainer, saved, training_args
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.components.train.methods import context
from data_juicer_sandbox.components.train.parameters import TrainingTask
from data_juicer_sandbox.components.train.trainer import ModelTrainer
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.files import remove
from data_juicer_sandbox.types import ConfigValues, LibraryObject, Metrics, Row

RATES = {False: 2e-5, True: 2e-4}
"""Default learning rates, without and with LoRA."""
_ROWS = ".rows-"


class TrlTrainer(ModelTrainer):
    """Base of the trainers that use trl.

    Attributes:
        rates: default learning rates, without and with LoRA.
    """

    requires = (*ModelTrainer.requires, *imports.libraries(torch_env.EXTRA, "trl", "datasets"))
    rates: ClassVar[dict[bool, float]] = RATES

    model: str
    chat_template: str | None
    lora: bool
    lora_r: int
    lora_alpha: float
    lora_dropout: float
    lora_target_modules: str | list[str]
    merge: bool
    max_length: int

    @abstractmethod
    def fields(self, row: Row) -> Row:
        """Select the fields of a row that trl needs.

        Raises:
            ValueError: a field is missing or invalid.
        """

    @abstractmethod
    def trainer(
        self, training_task: TrainingTask, rows: LibraryObject, tokenizer: LibraryObject, folder: Path
    ) -> tuple[LibraryObject, int, Metrics]:
        """Create a trl trainer; returns it, the number of its steps, and the metadata to record.

        Args:
            training_task: the model to train.
            rows: the data set.
            tokenizer: the model's tokenizer.
            folder: folder of the checkpoints.
        """

    def check(self) -> None:
        """Check the parameters, and set those whose default depends on others.

        Raises:
            ConfigError: a parameter is invalid.
        """
        self.check_common()
        if not self.lora:
            self.refuse(lora.NAMES, "only with `lora: true`")
        if self.warmup_ratio > 1 or self.lora_dropout >= 1:
            raise ConfigError("warmup_ratio must be between 0 and 1, lora_dropout below 1")
        self.learning_rate = self.learning_rate or self.rates[self.lora]

    def fingerprint_params(self) -> ConfigValues:
        """The parameters that the weights depend on."""
        params = super().fingerprint_params()
        return {key: value for key, value in params.items() if self.lora or key not in lora.NAMES}

    def check_fields(self, fields: Row, tokenizer: LibraryObject) -> None:
        """Check that the chat template accepts a row.

        Raises:
            ValueError: the template rejects the row.
        """
        chat.check_template(tokenizer, fields)

    def run(self, job: JobRun) -> list[str]:
        """Train all models; returns their folders, data set by data set, seed by seed."""
        for leftover in job.folder.glob(f"{_ROWS}*"):  # of a process that was killed
            remove(leftover)
        return super().run(job)

    def check_data(self, job: JobRun, training_tasks: list[TrainingTask]) -> None:
        """Check the training arguments, and all rows of all data sets.

        Raises:
            JobError: an argument or a row is invalid; the error names its file and line.
        """
        super().check_data(job, training_tasks)
        tokenizer, allowance = chat.load_tokenizer(self.model, self.chat_template), Allowance(self.skip_bad_rows)
        for path in dict.fromkeys(training_task.path for training_task in training_tasks):
            with job.progress.task(f"checking the rows of {path}"):
                check = partial(self.check_fields, tokenizer=tokenizer)
                count = chat.check_rows(path, self.fields, check, allowance)
            self.check_count(path, count)
        allowance.report(job)

    def check_count(self, path: str, rows: int) -> None:
        """Check that a data set has enough rows.

        Raises:
            JobError: it has too few.
        """

    @contextmanager
    def prepare_data(self, job: JobRun, training_task: TrainingTask) -> Iterator[tuple[LibraryObject, LibraryObject]]:
        """Load the tokenizer and write the rows to disk."""
        with (
            job.progress.task(f"rows of {training_task.dataset}"),
            TemporaryDirectory(dir=job.folder, prefix=_ROWS, ignore_cleanup_errors=True) as folder,
        ):
            tokenizer = chat.load_tokenizer(self.model, self.chat_template)
            check = partial(self.check_fields, tokenizer=tokenizer) if self.skip_bad_rows else _accept

            def read() -> Iterator[Row]:
                yield from chat.valid_rows(training_task.path, self.fields, check, self.allowance())

            rows = chat.dataset(read, training_task.path, Path(folder))
            logger.info("{}: {:,} rows", training_task.dataset, len(rows))
            yield tokenizer, rows

    def train(
        self,
        job: JobRun,
        training_task: TrainingTask,
        data: tuple[LibraryObject, LibraryObject],
        folder: Path,
        checkpoints: Checkpoints,
    ) -> Metrics:
        """Train one model and save it; returns the metadata to record."""
        tokenizer, rows = data
        torch_env.transformers().set_seed(training_task.seed)
        trainer, steps, budget_metadata = self.trainer(training_task, rows, tokenizer, checkpoints.folder)
        final_metrics = hf_trainer.run(trainer, job, training_task.name, steps, self, checkpoints)
        model = trainer.accelerator.unwrap_model(trainer.model)
        weights = model.num_parameters()
        texts = (tokenizer(text)["input_ids"] for row in rows for text in chat.texts(row, tokenizer))
        saved.save(model, tokenizer, folder, training_task.name, self.merge, saved.sample(texts, context(self.model)))
        return {
            "rows": len(rows),
            **budget_metadata,
            "steps": steps,
            "weights": weights,
            "final_loss": final_metrics["loss"],
            "final": final_metrics,
        }

    def base_model(self) -> LibraryObject:
        """Load the base model in training mode."""
        dtype = torch_env.precision(self.precision) if self.lora else "float32"
        model = loading.load_causal_lm(self.model, dtype).train()
        # prompts, answers and padding may use any token
        check_token(max(loading.load_tokenizer(self.model).get_vocab().values()), model)
        if self.lora and self.merge:
            lora.untie(model, lora.lora_config(self))
        return model

    def adapters(self) -> LibraryObject:
        """The LoRA config for trl; None without LoRA."""
        return lora.lora_config(self) if self.lora else None

    def arguments(self, training_task: TrainingTask, folder: Path, **overrides: object) -> LibraryObject:
        """Create the training arguments of the trl trainer."""
        options = {**self.fixed_arguments(), **overrides}
        return training_args.arguments(self.config_class(), self, training_task.seed, folder, **options)

    def config_class(self) -> LibraryObject:
        """The config class of the trl trainer."""
        return getattr(library(), self.arguments_class)

    def length(self) -> int:
        """Maximum tokens per example: `max_length`, limited by the model's context."""
        context_length = context(self.model)
        return min(self.max_length, context_length) if context_length else self.max_length


def _accept(fields: Row) -> None:
    """The fields of a row that `check_data` has checked."""


def library() -> LibraryObject:
    """The trl library."""
    torch_env.transformers()
    return imports.load("trl", extra=torch_env.EXTRA)


def rows_in_order(count: int, seed: int) -> Iterator[int]:
    """Yield row numbers without end: all rows, shuffled again for every epoch.

    Args:
        count: number of rows.
        seed: seed of the shuffling.
    """
    import numpy

    epoch = 0
    while True:
        yield from numpy.random.default_rng([seed, epoch]).permutation(count).tolist()
        epoch += 1


def take(count: int, seed: int, rows: int) -> list[int]:
    """The first `rows` row numbers of `rows_in_order`."""
    order = rows_in_order(count, seed)
    return [next(order) for _ in range(rows)]


def take_tokens(lengths: Sequence[int], seed: int, tokens: int) -> list[int]:
    """Row numbers of `rows_in_order` until the token budget is spent; the last row may exceed it.

    Args:
        lengths: number of tokens of each row, 1 or more.
        seed: seed of the shuffling.
        tokens: the token budget.
    """
    order, chosen, remaining = rows_in_order(len(lengths), seed), [], tokens
    while remaining > 0:
        chosen.append(next(order))
        remaining -= lengths[chosen[-1]]
    return chosen
