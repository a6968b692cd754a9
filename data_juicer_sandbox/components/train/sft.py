"""Supervised fine-tuning on conversations, through trl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from loguru import logger

from data_juicer_sandbox.components.base import InputPaths, Model, OutputPath
from data_juicer_sandbox.components.number_types import NonNegativeFloat, PositiveFloat, PositiveInt
from data_juicer_sandbox.components.train import chat, hf_trainer
from data_juicer_sandbox.components.train.parameters import TrainingTask, TrlParameters
from data_juicer_sandbox.components.train.trl import TrlTrainer, library, take, take_tokens
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import LibraryObject, Metrics, Row

STEPS = 100


@dataclass(eq=False)
class SupervisedTrainer(TrlParameters, TrlTrainer):
    """Fine-tune chat models on conversations, one per data set and seed, on the same budget (trl's SFTTrainer).

    A row has `messages` (a list of `role` and `content`), or a prompt and a completion (each a text, or messages). The
    loss covers only the assistant's tokens if the chat template marks them, and only the completion where there is
    one. A tokenizer without a chat template gets one like ChatML.

    The rows are shuffled and repeated until the budget is spent. The same data, seeds and parameters give the same
    model, also if a training was killed and resumed from its last checkpoint. A model that is complete is not trained
    again.

    Source: Ouyang et al. 2022, "Training language models to follow instructions with human feedback", step 1; Hu et
    al. 2021 (LoRA).

    Args:
        dataset_path: one data set or several; each gets its own models.
        model: the base model: a folder, or an id on the Hugging Face hub.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json`.
        messages_key: the field that holds the messages.
        prompt_key: the field that holds the prompt, for rows without messages.
        completion_key: the field that holds the completion.
        assistant_only: whether the loss covers only the assistant's messages; by default if the template marks them.
        seeds: one seed or several, one model for each; seed of the data order and of new adapters.
        max_steps: number of training steps; 100 by default.
        max_tokens: number of training tokens, instead of `max_steps`, rounded up to a full row.
        epochs: number of epochs, instead of `max_steps`. Data sets of different sizes then get different budgets.
        max_length: maximum tokens per row, limited by the model's context; longer rows are truncated.
        learning_rate: peak learning rate; by default 2e-5, with LoRA 2e-4.
        warmup_ratio: fraction of the steps in which the learning rate rises, 0 to 1; then it falls to 0 along a cosine.
        training_args: more arguments of trl's `SFTConfig`; not those that other
            parameters decide.
    """

    arguments_class: ClassVar[str] = "SFTConfig"
    decided_args: ClassVar[frozenset[str]] = frozenset(("max_length", "assistant_only_loss"))

    dataset_path: InputPaths
    model: Model
    export_path: OutputPath | None = None
    messages_key: str = "messages"
    prompt_key: str = "prompt"
    completion_key: str = "completion"
    assistant_only: bool | None = None
    seeds: int | list[int] = 42
    max_steps: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    epochs: PositiveFloat | None = None
    max_length: PositiveInt = 1024
    warmup_ratio: NonNegativeFloat = 0.03

    def __post_init__(self) -> None:
        self.check()
        if sum(value is not None for value in (self.max_steps, self.max_tokens, self.epochs)) > 1:
            raise ConfigError("max_steps, max_tokens and epochs: more than one is given", hint="set one of them")

    def fields(self, row: Row) -> Row:
        """The messages, or the prompt and the completion."""
        if self.messages_key in row:
            return {"messages": chat.messages(row, self.messages_key)}
        if self.prompt_key not in row:
            raise ValueError(f"the row has neither {self.messages_key!r} nor {self.prompt_key!r}")
        keys = {"prompt": self.prompt_key, "completion": self.completion_key}
        return chat.same_form({name: chat.text_or_messages(row, key) for name, key in keys.items()})

    def check_fields(self, fields: Row, tokenizer: LibraryObject) -> None:
        """Check that the chat template accepts a row, and that an assistant message has text.

        Raises:
            ValueError: the row cannot be trained on.
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
                raise ValueError(f"{self.messages_key!r} has no text of the assistant; one such message is expected")

    def trainer(
        self, training_task: TrainingTask, rows: LibraryObject, tokenizer: LibraryObject, folder: Path
    ) -> tuple[LibraryObject, int, Metrics]:
        """The SFTTrainer over the rows of the budget, in their order."""
        assistant_only = self._assistant_only("messages" in rows.column_names, tokenizer)
        arguments = self.arguments(
            training_task,
            folder,
            max_length=self.length(),
            assistant_only_loss=assistant_only,
            train_sampling_strategy="sequential",  # the rows are ordered below
        )
        sft_trainer = library().SFTTrainer(
            model=self.base_model(),
            args=arguments,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=self.adapters(),
        )
        encoded = sft_trainer.train_dataset
        if not len(encoded):
            raise JobError(f"no row of {training_task.path} has a completion within {self.length()} tokens")
        if len(encoded) < len(rows):
            logger.warning(
                "{}: {} rows have no completion within max_length", training_task.dataset, len(rows) - len(encoded)
            )
        lengths = [len(tokens) for tokens in encoded["input_ids"]]
        chosen = self._rows(lengths, training_task.seed)
        sft_trainer.train_dataset = encoded.select(chosen)
        budget_metadata = {
            "train_rows": len(chosen),
            "train_tokens": sum(lengths[row] for row in chosen),
            "epochs": len(chosen) / len(encoded),
            "assistant_only": assistant_only,
        }
        return sft_trainer, hf_trainer.steps_of(len(chosen), self.batch_size), budget_metadata

    def _rows(self, lengths: list[int], seed: int) -> list[int]:
        """The numbers of the rows to train on, in order."""
        if self.max_tokens:
            return take_tokens(lengths, seed, self.max_tokens)
        row_count = round(self.epochs * len(lengths)) if self.epochs else (self.max_steps or STEPS) * self.batch_size
        return take(len(lengths), seed, max(1, row_count))

    def _assistant_only(self, messages: bool, tokenizer: LibraryObject) -> bool:
        """Whether the loss covers only the assistant's tokens."""
        if not messages or self.assistant_only is False:
            return False
        if _training_template(tokenizer):
            return True
        if self.assistant_only:
            raise JobError(
                f"the chat template of {self.model} does not mark the assistant's tokens",
                hint="a `chat_template` with {% generation %} around them, or assistant_only: false",
            )
        logger.warning("the chat template of {} does not mark the assistant's tokens: all count", self.model)
        return False


def _training_template(tokenizer: LibraryObject) -> str | None:
    """A chat template that marks the assistant's tokens: the tokenizer's template, or trl's version; else None."""
    utilities = library().chat_template_utils
    if utilities.has_generation_markers(tokenizer.chat_template):
        return str(tokenizer.chat_template)
    try:
        return utilities.get_training_chat_template(tokenizer) or str(tokenizer.chat_template)
    except ValueError:  # trl has no version of this template
        return None
