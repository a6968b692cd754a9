"""Preference tuning, through trl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data_juicer_sandbox.components.base import InputPaths, Model, OutputPath
from data_juicer_sandbox.components.number_types import NonNegativeFloat, PositiveFloat, PositiveInt
from data_juicer_sandbox.components.train import chat, hf_trainer
from data_juicer_sandbox.components.train.parameters import TrainingTask, TrlParameters
from data_juicer_sandbox.components.train.sft import STEPS
from data_juicer_sandbox.components.train.trl import TrlTrainer, library, take
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import ConfigValues, LibraryObject, Metrics, Row


@dataclass(eq=False)
class PreferenceTrainer(TrlParameters, TrlTrainer):
    """Train models with direct preference optimization, one per data set and seed, on the same budget (trl's
    DPOTrainer).

    A row has a prompt, a chosen and a rejected answer, each a text or a list of messages (`role`, `content`); without a
    prompt, the common beginning of both answers is the prompt. Metrics are the loss, `rewards.margins` (by how much the
    model prefers the chosen answer more than the base model does), `rewards.accuracies`, and more.

    The rows are shuffled and repeated until the budget is spent. Resumption and reproducibility are as for
    `trl_sft`.

    Source: Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a Reward Model".

    Args:
        dataset_path: one data set or several; each gets its own models.
        model: the base and reference model: a folder, or an id on the Hugging Face hub.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json`.
        prompt_key: the field that holds the prompt.
        chosen_key: the field that holds the chosen answer.
        rejected_key: the field that holds the rejected answer.
        seeds: one seed or several, one model for each; seed of the data order and of new adapters.
        beta: strength of the KL penalty against the base model; a higher value keeps the model closer to it.
        max_steps: number of training steps; 100 by default.
        epochs: number of epochs, instead of `max_steps`. Data sets of different sizes then get different budgets.
        max_length: maximum tokens of prompt and answer, limited by the model's context; longer rows are truncated.
        lora: train low-rank adapters instead of the weights. The reference model then needs no memory of its own.
        learning_rate: peak learning rate; by default 1e-6, with LoRA 1e-5.
        warmup_ratio: fraction of the steps in which the learning rate rises, 0 to 1; then it falls to 0 along a cosine.
        training_args: more arguments of trl's `DPOConfig`, such as `loss_type`; not those that other
            parameters decide.
    """

    rates: ClassVar[dict[bool, float]] = {False: 1e-6, True: 1e-5}
    arguments_class: ClassVar[str] = "DPOConfig"
    decided_args: ClassVar[frozenset[str]] = frozenset(("beta", "max_length"))

    dataset_path: InputPaths
    model: Model
    export_path: OutputPath | None = None
    prompt_key: str = "prompt"
    chosen_key: str = "chosen"
    rejected_key: str = "rejected"
    seeds: int | list[int] = 42
    beta: PositiveFloat = 0.1
    max_steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None
    max_length: PositiveInt = 1024
    warmup_ratio: NonNegativeFloat = 0.1

    def __post_init__(self) -> None:
        self.check()
        if self.max_steps and self.epochs:
            raise ConfigError("max_steps and epochs are both given", hint="set one of them")

    def fields(self, row: Row) -> Row:
        """The prompt, the chosen and the rejected answer."""
        keys = {"prompt": self.prompt_key, "chosen": self.chosen_key, "rejected": self.rejected_key}
        if self.prompt_key not in row:
            del keys["prompt"]
        fields = chat.same_form({name: chat.text_or_messages(row, key) for name, key in keys.items()})
        if self.prompt_key not in row:
            for name in ("chosen", "rejected"):
                if not fields[name]:
                    raise ValueError(f"{keys[name]!r} is empty; without {self.prompt_key!r} it begins with the prompt")
        return fields

    def fixed_arguments(self) -> ConfigValues:
        """The strength of the KL penalty."""
        return {"beta": self.beta}

    def trainer(
        self, training_task: TrainingTask, rows: LibraryObject, tokenizer: LibraryObject, folder: Path
    ) -> tuple[LibraryObject, int, Metrics]:
        """The DPOTrainer over the rows of the budget, in their order."""
        arguments = self.arguments(
            training_task,
            folder,
            max_length=self.length(),
            train_sampling_strategy="sequential",  # the rows are ordered below
        )
        dpo_trainer = library().DPOTrainer(
            model=self.base_model(),
            ref_model=None if self.lora else self.base_model(),
            args=arguments,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=self.adapters(),
        )
        row_count = len(dpo_trainer.train_dataset)
        if not row_count:
            raise JobError(f"no row of {training_task.path} has answers within {self.length()} tokens")
        rows_to_train = round(self.epochs * row_count) if self.epochs else (self.max_steps or STEPS) * self.batch_size
        chosen = take(row_count, training_task.seed, max(1, rows_to_train))
        dpo_trainer.train_dataset = dpo_trainer.train_dataset.select(chosen)
        budget_metadata = {"train_rows": len(chosen), "epochs": len(chosen) / row_count}
        return dpo_trainer, hf_trainer.steps_of(len(chosen), self.batch_size), budget_metadata
