"""Reinforcement learning from reward functions (GRPO), through trl."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any, ClassVar

from data_juicer_sandbox.components.base import InputPaths, Model, OutputPath
from data_juicer_sandbox.components.helpers import find_helper
from data_juicer_sandbox.components.number_types import NonNegativeFloat, PositiveFloat, PositiveInt
from data_juicer_sandbox.components.train import chat
from data_juicer_sandbox.components.train.parameters import TrainingTask, TrlParameters
from data_juicer_sandbox.components.train.sft import STEPS
from data_juicer_sandbox.components.train.trl import TrlTrainer, library
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import ConfigValues, LibraryObject, Metrics, Row


@dataclass(eq=False)
class RewardTrainer(TrlParameters, TrlTrainer):
    """Train models with rewards for their completions, one per data set and seed, for the same number of steps (trl's
    GRPOTrainer).

    A row has a prompt, a text or a list of messages. In each step the model completes some prompts several times;
    completions with a higher reward than others of the same prompt become more likely. Metrics are `reward`,
    `reward_std`, the loss, completion lengths, and more.

    A reward is a function `f(prompts, completions, **fields) -> list[float]`. Its arguments are lists with one item per
    completion (texts, or lists of messages if prompts are), and one list for every other field of the rows, such as the
    reference `answer`. trl's reward functions and registered helpers can be used.

    Resumption and reproducibility are as for `trl_sft`.

    Source: Shao et al. 2024, "DeepSeekMath", section 4 (GRPO).

    Args:
        dataset_path: one data set or several; each gets its own models.
        model: the base model: a folder, or an id on the Hugging Face hub.
        reward: one reward function or several: a registered helper, or a dotted path such as `my_pkg.my_mod.reward`.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json`.
        prompt_key: the field that holds the prompt.
        reward_weights: weight of each reward; 1 by default.
        reward_kwargs: keyword arguments for every call of the reward; only with a single reward.
        seeds: one seed or several, one model for each; seed of the data order, the completions and new adapters.
        beta: strength of the KL penalty against the base model; 0: no penalty, and no reference model in memory.
        max_steps: number of training steps.
        num_generations: completions per prompt, 2 or more.
        temperature: sampling temperature of the completions.
        max_completion_length: maximum tokens of a completion. Prompt and completion must fit the model's context.
        batch_size: completions per step; a multiple of `num_generations`.
        device_batch_size: completions per device at a time, if a step's completions do not fit. All by default.
        learning_rate: peak learning rate; by default 1e-6, with LoRA 1e-5.
        warmup_ratio: fraction of the steps in which the learning rate rises, 0 to 1; then it falls to 0 along a cosine.
        training_args: more arguments of trl's `GRPOConfig`, such as `loss_type` or `use_vllm`; not those that other
            parameters decide.
    """

    rates: ClassVar[dict[bool, float]] = {False: 1e-6, True: 1e-5}
    arguments_class: ClassVar[str] = "GRPOConfig"
    decided_args: ClassVar[frozenset[str]] = frozenset(
        ("beta", "num_generations", "temperature", "max_completion_length", "reward_weights")
    )

    dataset_path: InputPaths
    model: Model
    reward: str | list[str]
    export_path: OutputPath | None = None
    prompt_key: str = "prompt"
    reward_weights: list[float] | None = None
    reward_kwargs: ConfigValues | None = None
    seeds: int | list[int] = 42
    beta: NonNegativeFloat = 0.0
    max_steps: PositiveInt = STEPS
    num_generations: PositiveInt = 8
    temperature: PositiveFloat = 1.0
    max_completion_length: PositiveInt = 256
    warmup_ratio: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        self.check()
        rewards = self._names()
        if not rewards or (self.reward_weights is not None and len(self.reward_weights) != len(rewards)):
            raise ConfigError(f"{len(rewards)} rewards, {len(self.reward_weights or [])} reward_weights")
        if self.reward_kwargs and len(rewards) > 1:
            raise ConfigError(f"reward_kwargs need a single reward, got {len(rewards)} rewards")
        if self.num_generations < 2:
            raise ConfigError("num_generations is 1, but completions are compared with others", hint="2 or more")
        if self.batch_size % self.num_generations:
            raise ConfigError(
                f"batch_size {self.batch_size} is not a multiple of num_generations {self.num_generations}"
            )

    def fields(self, row: Row) -> Row:
        """The prompt, and all other fields, which the reward receives."""
        reward_fields = {key: value for key, value in row.items() if key not in (self.prompt_key, "completion")}
        return {**reward_fields, "prompt": chat.text_or_messages(row, self.prompt_key)}

    def check_count(self, path: str, rows: int) -> None:
        """Check that there are enough prompts for a batch, since trl drops incomplete ones.

        Raises:
            JobError: there are too few.
        """
        steps = int((self.training_args or {}).get("steps_per_generation") or 1)
        prompts = self.batch_size * steps // self.num_generations
        if rows < prompts:
            raise JobError(
                f"{path} has {rows:,} rows, fewer than the {prompts:,} prompts of a batch",
                hint=f"a batch_size of at most {max(1, rows // steps) * self.num_generations:,}",
            )

    def fixed_arguments(self) -> ConfigValues:
        """The budget and the sampling of completions."""
        return {
            "beta": self.beta,
            "max_steps": self.max_steps,
            "num_generations": self.num_generations,
            "temperature": self.temperature,
            "max_completion_length": self.max_completion_length,
            "reward_weights": self.reward_weights,
        }

    def trainer(
        self, training_task: TrainingTask, rows: LibraryObject, tokenizer: LibraryObject, folder: Path
    ) -> tuple[LibraryObject, int, Metrics]:
        """The GRPOTrainer, which samples the prompts itself."""
        arguments = self.arguments(training_task, folder)
        tokenizer.padding_side = "left"
        grpo_trainer = library().GRPOTrainer(
            model=self.base_model(),
            reward_funcs=[find_reward(name, self.reward_kwargs) for name in self._names()],
            args=arguments,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=self.adapters(),
        )
        # a batch of completions serves `num_iterations` steps
        prompts = -(-self.max_steps // arguments.num_iterations) * self.batch_size // self.num_generations
        return grpo_trainer, self.max_steps, {"train_rows": prompts, "epochs": prompts / len(rows)}

    def _names(self) -> list[str]:
        return [self.reward] if isinstance(self.reward, str) else list(self.reward)


def find_reward(name: str, kwargs: ConfigValues | None) -> Callable[..., Any]:
    """Load a reward function; it has a `__name__`, which trl uses in the metrics."""
    reward = find_helper(name, kwargs)
    return update_wrapper(reward, reward.func) if isinstance(reward, partial) else reward
