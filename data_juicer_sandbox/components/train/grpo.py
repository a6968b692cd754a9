"""Tuning by rewards, through trl."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any, ClassVar, Literal

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt

from data_juicer_sandbox.components.base import InputPath, InputPaths, Model, OutputPath
from data_juicer_sandbox.components.helpers import find_helper
from data_juicer_sandbox.components.train import chat
from data_juicer_sandbox.components.train.sft import STEPS
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.trl import TrlTrainer, library
from data_juicer_sandbox.errors import ConfigError


@dataclass(eq=False)
class RewardTrainer(TrlTrainer):
    """Tune models by rewards for their own answers, one for each data set and seed, on the same number of steps (trl's
    GRPOTrainer).

    A row has a prompt, a text or a list of messages. In each step the model answers some prompts several times; answers
    that are better than the others to the same prompt become more likely. Watched are `reward`, `reward_std`, the loss,
    the lengths of answers, and more.

    A reward is a function `f(prompts, completions, **others) -> list[float]`: lists with an item for each answer
    (texts, or lists of messages where prompts are), and by name a list for every other field of the rows, such as the
    right `answer`. trl's own rewards fit, as do registered helpers.

    Resumed, kept, and repeatable as the other trainers.

    Source: Shao et al. 2024, "DeepSeekMath", section 4 (GRPO).

    Args:
        dataset_path: one data set or several, each for models of its own.
        model: what it starts from: a folder, or an id on the Hugging Face hub.
        reward: the reward function or functions: a registered helper, or a dotted path such as `my_pkg.my_mod.reward`.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json`.
        prompt_key: the field that holds the prompt.
        reward_weights: what each reward counts; 1 by default.
        reward_kwargs: keyword arguments for every call of the reward, where there is one only.
        chat_template: a file with a Jinja chat template, instead of the tokenizer's own.
        seeds: a number or several, one model for each; of the order of the data, of the answers, and of adapters.
        beta: how closely it stays with the model it started from; 0 leaves it free, and saves holding that.
        max_steps: steps to train.
        num_generations: answers to each prompt, 2 or more.
        temperature: of the answers.
        max_completion_length: tokens of an answer at most. Prompt and answer must fit the model's context.
        batch_size: answers in a step; a multiple of `num_generations`.
        device_batch_size: answers at once on a device, where all of a step's do not fit. By default all.
        lora: train small matrices beside the weights, not the weights.
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
        training_args: more arguments of trl's `GRPOConfig`, such as `loss_type` or `use_vllm`.
    """

    rates: ClassVar[dict[bool, float]] = {False: 1e-6, True: 1e-5}

    dataset_path: InputPaths
    model: Model
    reward: str | list[str]
    export_path: OutputPath | None = None
    prompt_key: str = "prompt"
    reward_weights: list[float] | None = None
    reward_kwargs: dict[str, Any] | None = None
    chat_template: InputPath | None = None
    seeds: int | list[int] = 42
    beta: NonNegativeFloat = 0.0
    max_steps: PositiveInt = STEPS
    num_generations: PositiveInt = 8
    temperature: PositiveFloat = 1.0
    max_completion_length: PositiveInt = 256
    batch_size: PositiveInt = 8
    device_batch_size: PositiveInt | None = None
    lora: bool = False
    lora_r: PositiveInt = 16
    lora_alpha: PositiveFloat = 32.0
    lora_dropout: NonNegativeFloat = 0.0
    lora_target_modules: str | list[str] = "all-linear"
    merge: bool = True
    learning_rate: PositiveFloat | None = None
    warmup_ratio: NonNegativeFloat = 0.0
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
        rewards = self._names()
        if not rewards or (self.reward_weights is not None and len(self.reward_weights) != len(rewards)):
            raise ConfigError(f"{len(rewards)} rewards, {len(self.reward_weights or [])} reward_weights")
        if self.reward_kwargs and len(rewards) > 1:
            raise ConfigError("reward_kwargs are for one reward; here are several")
        if self.num_generations < 2:
            raise ConfigError("num_generations 1 leaves no other answer to compare with", hint="2 or more")
        if self.batch_size % self.num_generations:
            raise ConfigError(
                f"batch_size {self.batch_size} is not a multiple of num_generations {self.num_generations}"
            )

    def fields(self, row: dict[str, Any]) -> dict[str, Any]:
        """The prompt, and all other fields, for the reward."""
        others = {key: value for key, value in row.items() if key not in (self.prompt_key, "completion")}
        return {**others, "prompt": chat.text_or_messages(row, self.prompt_key)}

    def trainer(self, order: TrainingTask, rows: Any, tokenizer: Any, folder: Path) -> tuple[Any, int, dict[str, Any]]:
        """The GRPOTrainer, which draws the prompts itself."""
        arguments = self.arguments(
            "GRPOConfig",
            order,
            folder,
            beta=self.beta,
            max_steps=self.max_steps,
            num_generations=self.num_generations,
            temperature=self.temperature,
            max_completion_length=self.max_completion_length,
            reward_weights=self.reward_weights,
        )
        tokenizer.padding_side = "left"
        made = library().GRPOTrainer(
            model=self.base_model(),
            reward_funcs=[find_reward(name, self.reward_kwargs) for name in self._names()],
            args=arguments,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=self.adapters(),
        )
        prompts = self.max_steps * self.batch_size // self.num_generations
        return made, self.max_steps, {"train_rows": prompts, "epochs": prompts / len(rows)}

    def _names(self) -> list[str]:
        return [self.reward] if isinstance(self.reward, str) else list(self.reward)


def find_reward(name: str, kwargs: dict[str, Any] | None) -> Callable[..., Any]:
    """A reward function, with a name by which trl can call it in the metrics."""
    found = find_helper(name, kwargs)
    return update_wrapper(found, found.func) if isinstance(found, partial) else found
