"""Full fine-tuning: all weights of a model trained further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.train.methods.base import Method
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer

BLOCK = 512


class Full(Method):
    """Begins with a model that is there."""

    parameters: ClassVar[tuple[str, ...]] = ("model",)
    defaults: ClassVar = {"learning_rate": 5e-5, "warmup_ratio": 0.03, "weight_decay": 0.0}

    def check(self, given: HuggingFaceTrainer) -> None:
        """What must be given, and fit."""
        if given.model is None:
            raise ConfigError(f"method {given.method} needs a model", hint="`model`: a folder, or an id on the hub")

    def block_size(self, given: HuggingFaceTrainer) -> int:
        """As given, or the default."""
        longest = context(given.model)
        if given.block_size and longest and given.block_size > longest:
            raise JobError(f"block_size {given.block_size} is more than the model's context of {longest} tokens")
        return given.block_size or min(BLOCK, longest or BLOCK)

    def tokenizer(self, given: HuggingFaceTrainer, path: str) -> Any:
        """The model's own."""
        return torch_env.load_tokenizer(str(given.model))

    def model(self, given: HuggingFaceTrainer, tokenizer: Any) -> Any:
        """The model as it is."""
        # bfloat16, where it is used, is for computing; small updates would be lost in weights held in it
        return torch_env.load_causal_lm(str(given.model), "float32")


def context(model: str | None) -> int | None:
    """The longest context of a model, if it has one."""
    found = getattr(torch_env.load_config(str(model)), "max_position_embeddings", None)
    return None if found is None else int(found)
