"""Preference tuning, through trl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt

from data_juicer_sandbox.components.base import InputPath, InputPaths, Model, OutputPath
from data_juicer_sandbox.components.train import budget, chat, hf_trainer
from data_juicer_sandbox.components.train.sft import STEPS
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.trl import TrlTrainer, library
from data_juicer_sandbox.errors import ConfigError, JobError


@dataclass(eq=False)
class PreferenceTrainer(TrlTrainer):
    """Tune models to prefer the chosen of two answers, one for each data set and seed, on the same budget (trl's
    DPOTrainer).

    A row has a prompt, the chosen and the rejected answer, each a text or a list of messages (`role`, `content`);
    without a prompt, what both answers begin with is it. Watched are the loss, `rewards.margins` (how much more it
    prefers the chosen answer than the model does that it started from), `rewards.accuracies`, and more.

    The rows are shuffled and gone over until the budget is spent. Resumed, kept, and repeatable as the other trainers.

    Source: Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a Reward Model".

    Args:
        dataset_path: one data set or several, each for models of its own.
        model: what it starts from, and is compared with: a folder, or an id on the Hugging Face hub.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json`.
        prompt_key: the field that holds the prompt.
        chosen_key: the field that holds the chosen answer.
        rejected_key: the field that holds the rejected answer.
        chat_template: a file with a Jinja chat template, instead of the tokenizer's own.
        seeds: a number or several, one model for each; of the order of the data, and of adapters.
        beta: how closely it stays with the model it started from; more is closer.
        max_steps: steps to train; 100 by default.
        epochs: passes over the data, instead of steps. Data sets of different sizes then get different budgets.
        max_length: tokens of prompt and answer at most, and no more than the model's context; what is longer is cut.
        batch_size: rows in a step.
        device_batch_size: rows at once on a device, where all of a step's do not fit. By default all.
        lora: train small matrices beside the weights, not the weights. The model needs to be held once only, then.
        lora_r: rank of the new matrices.
        lora_alpha: they count `lora_alpha / lora_r` times.
        lora_dropout: probability of their inputs being dropped.
        lora_target_modules: names of the layers that get them; `all-linear` is every linear layer but the output.
        merge: save the model with the matrices added to its weights; if not, only the matrices (an adapter).
        learning_rate: the highest one; by default 1e-6, with LoRA 1e-5.
        warmup_ratio: part of the steps in which the learning rate rises, 0 to 1. Then it falls to 0 along a cosine.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        precision: what the GPU computes in; `auto` is bfloat16 where the device is a GPU that has it, else float32.
        save_steps: steps from one checkpoint to the next.
        max_parallel: models trained side by side, each in a process of its own.
        num_processes: processes that train one model together, one a GPU, or on the CPU.
        threads: CPU threads of a process; torch's choice by default.
        training_args: more arguments of trl's `DPOConfig`, such as `loss_type`.
    """

    rates: ClassVar[dict[bool, float]] = {False: 1e-6, True: 1e-5}

    dataset_path: InputPaths
    model: Model
    export_path: OutputPath | None = None
    prompt_key: str = "prompt"
    chosen_key: str = "chosen"
    rejected_key: str = "rejected"
    chat_template: InputPath | None = None
    seeds: int | list[int] = 42
    beta: PositiveFloat = 0.1
    max_steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None
    max_length: PositiveInt = 1024
    batch_size: PositiveInt = 8
    device_batch_size: PositiveInt | None = None
    lora: bool = False
    lora_r: PositiveInt = 16
    lora_alpha: PositiveFloat = 32.0
    lora_dropout: NonNegativeFloat = 0.0
    lora_target_modules: str | list[str] = "all-linear"
    merge: bool = True
    learning_rate: PositiveFloat | None = None
    warmup_ratio: NonNegativeFloat = 0.1
    weight_decay: NonNegativeFloat = 0.0
    max_grad_norm: PositiveFloat = 1.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    save_steps: PositiveInt = 200
    max_parallel: PositiveInt = 1
    num_processes: PositiveInt = 1
    threads: PositiveInt | None = None
    training_args: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.check()
        if self.max_steps and self.epochs:
            raise ConfigError("max_steps and epochs are both given", hint="one of them is the budget")

    def fields(self, row: dict[str, Any]) -> dict[str, Any]:
        """Prompt, chosen and rejected answer."""
        keys = {"prompt": self.prompt_key, "chosen": self.chosen_key, "rejected": self.rejected_key}
        if self.prompt_key not in row:
            del keys["prompt"]
        fields = chat.same_form({name: chat.text_or_messages(row, key) for name, key in keys.items()})
        if self.prompt_key not in row:
            for name in ("chosen", "rejected"):
                if not fields[name]:
                    raise ValueError(f"{keys[name]!r} is empty; without {self.prompt_key!r} it begins with the prompt")
        return fields

    def trainer(self, order: TrainingTask, rows: Any, tokenizer: Any, folder: Path) -> tuple[Any, int, dict[str, Any]]:
        """The DPOTrainer over the rows of the budget, in their order."""
        arguments = self.arguments(
            "DPOConfig",
            order,
            folder,
            beta=self.beta,
            max_length=self.length(),
            train_sampling_strategy="sequential",  # the rows are put in order below
        )
        made = library().DPOTrainer(
            model=self.base_model(),
            ref_model=None if self.lora else self.base_model(),
            args=arguments,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=self.adapters(),
        )
        there = len(made.train_dataset)
        if not there:
            raise JobError(f"no row of {order.path} has answers within {self.length()} tokens")
        wanted = round(self.epochs * there) if self.epochs else (self.max_steps or STEPS) * self.batch_size
        chosen = budget.take(there, order.seed, max(1, wanted))
        made.train_dataset = made.train_dataset.select(chosen)
        about = {"train_rows": len(chosen), "epochs": len(chosen) / there}
        return made, hf_trainer.steps_of(len(chosen), self.batch_size), about
