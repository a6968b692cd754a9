"""What the trainers of trl share: a model and its tokenizer, rows on disk, adapters where they are wanted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from loguru import logger

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.lm import lora, torch_env
from data_juicer_sandbox.components.train import chat, hf_trainer, saved
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.components.train.methods.full import context
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.trainer import ModelTrainer
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.files import remove

RATES = {False: 2e-5, True: 2e-4}
"""Default learning rates, without and with LoRA."""
_ROWS = ".rows-"


class TrlTrainer(ModelTrainer):
    """Base of the trainers that work through trl.

    Attributes:
        rates: default learning rates, without and with LoRA.
    """

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
    def fields(self, row: dict[str, Any]) -> dict[str, Any]:
        """What is wanted of a row.

        Raises:
            ValueError: it does not have that; says why.
        """

    @abstractmethod
    def trainer(self, order: TrainingTask, rows: Any, tokenizer: Any, folder: Path) -> tuple[Any, int, dict[str, Any]]:
        """A trainer of trl, the number of its steps, and what is to be recorded.

        Args:
            order: which model.
            rows: the data set.
            tokenizer: the model's.
            folder: of the checkpoints.
        """

    def check(self) -> None:
        """Find what is wrong with the parameters, and settle those whose default depends on others.

        Raises:
            ConfigError: something is wrong.
        """
        self.check_common()
        if not self.lora:
            self.refuse(lora.NAMES, "only with `lora: true`")
        if self.warmup_ratio > 1 or self.lora_dropout >= 1:
            raise ConfigError("warmup_ratio lies between 0 and 1, lora_dropout below 1")
        self.learning_rate = self.learning_rate or self.rates[self.lora]

    def decisive(self) -> dict[str, Any]:
        """The parameters that the weights depend on."""
        found = super().decisive()
        return {key: value for key, value in found.items() if self.lora or key not in lora.NAMES}

    def check_fields(self, fields: dict[str, Any], tokenizer: Any) -> None:
        """Find out whether a row can be trained on: whether the chat template takes it.

        Raises:
            ValueError: it cannot; says why.
        """
        chat.check_template(tokenizer, fields)

    def run(self, job: JobRun) -> list[str]:
        """Train all models; returns their folders, data set by data set, seed by seed."""
        for left in job.folder.glob(f"{_ROWS}*"):  # by a process that was killed
            remove(left)
        return super().run(job)

    def check_data(self, job: JobRun, orders: list[TrainingTask]) -> None:
        """Find the first row that cannot be trained on, in all data sets.

        Raises:
            JobError: there is one; names its file and number.
        """
        tokenizer = chat.load_tokenizer(self.model, self.chat_template)
        for path in dict.fromkeys(order.path for order in orders):
            with job.progress.task(f"checking the rows of {path}"):
                chat.check_rows(path, self.fields, lambda fields: self.check_fields(fields, tokenizer))

    @contextmanager
    def prepared(self, job: JobRun, order: TrainingTask) -> Iterator[tuple[Any, Any]]:
        """The tokenizer, and the rows on disk."""
        with (
            job.progress.task(f"rows of {order.dataset}"),
            TemporaryDirectory(dir=job.folder, prefix=_ROWS, ignore_cleanup_errors=True) as folder,
        ):
            tokenizer = chat.load_tokenizer(self.model, self.chat_template)
            rows = chat.dataset(order.path, self.fields, Path(folder))
            logger.info("{}: {:,} rows", order.dataset, len(rows))
            yield tokenizer, rows

    def train(
        self, job: JobRun, order: TrainingTask, data: tuple[Any, Any], folder: Path, checkpoints: Checkpoints
    ) -> dict[str, Any]:
        """Train one model and save it; returns what is to be recorded about it."""
        tokenizer, rows = data
        torch_env.transformers().set_seed(order.seed)
        trainer, steps, about = self.trainer(order, rows, tokenizer, checkpoints.folder)
        last = hf_trainer.run(trainer, job, order.name, steps, self, checkpoints)
        model = trainer.accelerator.unwrap_model(trainer.model)
        weights = model.num_parameters()
        texts = (tokenizer(text)["input_ids"] for row in rows for text in chat.texts(row, tokenizer))
        hf_trainer.save(model, tokenizer, folder, order.name, self.merge, saved.sample(texts, context(self.model)))
        return {
            "rows": len(rows),
            **about,
            "steps": steps,
            "weights": weights,
            "final_loss": last["loss"],
            "final": last,
        }

    def base_model(self) -> Any:
        """The model as it is, in training mode."""
        dtype = torch_env.precision(self.precision) if self.lora else "float32"
        model = torch_env.load_causal_lm(self.model, dtype).train()
        if self.lora and self.merge:
            lora.untie(model, lora.lora_config(self))
        return model

    def adapters(self) -> Any:
        """The shape of the adapters for trl; None where there are to be none."""
        return lora.lora_config(self) if self.lora else None

    def arguments(self, name: str, order: TrainingTask, folder: Path, **own: Any) -> Any:
        """The arguments of one of trl's trainers, by the name of their class."""
        return hf_trainer.arguments(getattr(library(), name), self, order.seed, folder, **own)

    def length(self) -> int:
        """Tokens of an example at most: as given, but no more than the model's context."""
        longest = context(self.model)
        return min(self.max_length, longest) if longest else self.max_length


def library() -> Any:
    """The trl library."""
    torch_env.transformers()
    return imports.load("trl", extra=torch_env.EXTRA)
