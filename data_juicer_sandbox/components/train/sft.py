"""Supervised fine-tuning on conversations, through trl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import InputPath, InputPaths, Model, OutputPath
from data_juicer_sandbox.components.train import budget, chat, hf_trainer
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.trl import TrlTrainer, library
from data_juicer_sandbox.errors import ConfigError, JobError

STEPS = 100


@dataclass(eq=False)
class SupervisedTrainer(TrlTrainer):
    """Fine-tune chat models on conversations, one for each data set and seed, on the same budget (trl's SFTTrainer).

    A row has `messages` (a list of `role` and `content`), or a prompt and a completion (each a text, or messages). The
    loss is that of the assistant's words alone where the chat template can tell them, and always that of the completion
    alone. A tokenizer without a chat template gets one like ChatML.

    The rows are shuffled and gone over until the budget is spent. The same data, seeds and parameters give the same
    model, also where a training was killed and went on from its last checkpoint. One that stands complete is not
    trained again.

    Source: Ouyang et al. 2022, "Training language models to follow instructions with human feedback", step 1; Hu et
    al. 2021 (LoRA).

    Args:
        dataset_path: one data set or several, each for models of its own.
        model: what it starts from: a folder, or an id on the Hugging Face hub.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json`.
        messages_key: the field that holds the messages.
        prompt_key: the field that holds the prompt, where there are no messages.
        completion_key: the field that holds the completion.
        chat_template: a file with a Jinja chat template, instead of the tokenizer's own.
        assistant_only: whether of messages only the assistant's count; by default where the template tells them.
        seeds: a number or several, one model for each; of the order of the data, and of adapters.
        max_steps: steps to train; 100 by default.
        max_tokens: tokens to train on, instead of steps, to within one row.
        epochs: passes over the data, instead of steps. Data sets of different sizes then get different budgets.
        max_length: tokens of a row at most, and no more than the model's context; what is longer is cut.
        batch_size: rows in a step.
        device_batch_size: rows at once on a device, where all of a step's do not fit. By default all.
        lora: train small matrices beside the weights, not the weights.
        lora_r: rank of the new matrices.
        lora_alpha: they count `lora_alpha / lora_r` times.
        lora_dropout: probability of their inputs being dropped.
        lora_target_modules: names of the layers that get them; `all-linear` is every linear layer but the output.
        merge: save the model with the matrices added to its weights; if not, only the matrices (an adapter).
        learning_rate: the highest one; by default 2e-5, with LoRA 2e-4.
        warmup_ratio: part of the steps in which the learning rate rises, 0 to 1. Then it falls to 0 along a cosine.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        precision: what the GPU computes in; `auto` is bfloat16 where the device is a GPU that has it, else float32.
        save_steps: steps from one checkpoint to the next.
        max_parallel: models trained side by side, each in a process of its own.
        num_processes: processes that train one model together, one a GPU, or on the CPU.
        threads: CPU threads of a process; torch's choice by default.
        training_args: more arguments of trl's `SFTConfig`.
    """

    dataset_path: InputPaths
    model: Model
    export_path: OutputPath | None = None
    messages_key: str = "messages"
    prompt_key: str = "prompt"
    completion_key: str = "completion"
    chat_template: InputPath | None = None
    assistant_only: bool | None = None
    seeds: int | list[int] = 42
    max_steps: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
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
    warmup_ratio: NonNegativeFloat = 0.03
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
        if sum(value is not None for value in (self.max_steps, self.max_tokens, self.epochs)) > 1:
            raise ConfigError("max_steps, max_tokens and epochs: more than one is given", hint="one is the budget")

    def fields(self, row: dict[str, Any]) -> dict[str, Any]:
        """The messages, or the prompt and the completion."""
        if self.messages_key in row:
            return {"messages": chat.messages(row, self.messages_key)}
        if self.prompt_key not in row:
            raise ValueError(f"neither {self.messages_key!r} nor {self.prompt_key!r} is there")
        keys = {"prompt": self.prompt_key, "completion": self.completion_key}
        return chat.same_form({name: chat.text_or_messages(row, key) for name, key in keys.items()})

    def check_fields(self, fields: dict[str, Any], tokenizer: Any) -> None:
        """Find out whether a row can be trained on: its template, and that the assistant says something.

        Raises:
            ValueError: it cannot; says why.
        """
        super().check_fields(fields, tokenizer)
        messages = fields.get("messages", ())
        if not messages or any(message["role"] == "assistant" and message["content"] for message in messages):
            return
        if self.assistant_only is not False and (template := _training_template(tokenizer)):
            encoded = tokenizer.apply_chat_template(
                messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
            )
            if not any(encoded["assistant_masks"]):
                raise ValueError(f"{self.messages_key!r} has no words of the assistant; one message of it is expected")

    def trainer(self, order: TrainingTask, rows: Any, tokenizer: Any, folder: Path) -> tuple[Any, int, dict[str, Any]]:
        """The SFTTrainer over the rows of the budget, in their order."""
        alone = self._assistant_only("messages" in rows.column_names, tokenizer)
        arguments = self.arguments(
            "SFTConfig",
            order,
            folder,
            max_length=self.length(),
            assistant_only_loss=alone,
            train_sampling_strategy="sequential",  # the rows are put in order below
        )
        made = library().SFTTrainer(
            model=self.base_model(),
            args=arguments,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=self.adapters(),
        )
        encoded = made.train_dataset
        if not len(encoded):
            raise JobError(f"no row of {order.path} has anything to learn within {self.length()} tokens")
        if len(encoded) < len(rows):
            logger.warning("{}: {} rows have no answer within max_length", order.dataset, len(rows) - len(encoded))
        lengths = [len(tokens) for tokens in encoded["input_ids"]]
        chosen = self._rows(lengths, order.seed)
        made.train_dataset = encoded.select(chosen)
        about = {
            "train_rows": len(chosen),
            "train_tokens": sum(lengths[row] for row in chosen),
            "epochs": len(chosen) / len(encoded),
            "assistant_only": alone,
        }
        return made, hf_trainer.steps_of(len(chosen), self.batch_size), about

    def _rows(self, lengths: list[int], seed: int) -> list[int]:
        if self.max_tokens:
            return budget.take_tokens(lengths, seed, self.max_tokens)
        wanted = round(self.epochs * len(lengths)) if self.epochs else (self.max_steps or STEPS) * self.batch_size
        return budget.take(len(lengths), seed, max(1, wanted))

    def _assistant_only(self, messages: bool, tokenizer: Any) -> bool:
        """Whether only the assistant's words are to count."""
        if not messages or self.assistant_only is False:
            return False
        if _training_template(tokenizer):
            return True
        if self.assistant_only:
            raise JobError(
                f"the chat template of {self.model} does not tell which words are the assistant's",
                hint="a `chat_template` with {% generation %} around them, or assistant_only: false",
            )
        logger.warning("the chat template of {} does not tell the assistant's words: all count", self.model)
        return False


def _training_template(tokenizer: Any) -> str | None:
    """The chat template that tells which words are the assistant's: the tokenizer's own, or trl's version of it; None
    where there is neither.
    """
    utilities = library().chat_template_utils
    if utilities.has_generation_markers(tokenizer.chat_template):
        return str(tokenizer.chat_template)
    try:
        return utilities.get_training_chat_template(tokenizer) or str(tokenizer.chat_template)
    except ValueError:  # it is none that trl has a version of
        return None
