"""Fine-tuning of an existing model: all weights (`Full`), or low-rank adapters (`Lora`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from data_juicer_sandbox.components.lm import loading, lora, torch_env
from data_juicer_sandbox.components.lm.windows import check_block_size
from data_juicer_sandbox.components.train.methods.base import Method
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer

BLOCK = 512


class Full(Method):
    """Starts from an existing model."""

    parameters: ClassVar[tuple[str, ...]] = ("model",)
    defaults: ClassVar = {"learning_rate": 5e-5, "warmup_ratio": 0.03, "weight_decay": 0.0}

    def check(self, trainer: HuggingFaceTrainer) -> None:
        """Check that a model is given."""
        if trainer.model is None:
            raise ConfigError(f"method {trainer.method} needs a model", hint="`model`: a folder, or an id on the hub")

    def block_size(self, trainer: HuggingFaceTrainer) -> int:
        """The configured block size, or the default."""
        context_length = context(trainer.model)
        check_block_size(trainer.block_size, context_length)
        return trainer.block_size or min(BLOCK, context_length or BLOCK)

    def tokenizer(self, trainer: HuggingFaceTrainer, paths: list[str]) -> LibraryObject:
        """The tokenizer of the base model."""
        return loading.load_tokenizer(str(trainer.model))

    def model(self, trainer: HuggingFaceTrainer, tokenizer: LibraryObject) -> LibraryObject:
        """The base model."""
        # weights are kept in float32, also if bfloat16 is used for computing: it would lose small updates
        return loading.load_causal_lm(str(trainer.model), "float32")


def context(model: str | None) -> int | None:
    """The maximum context length of a model; None if its config has none."""
    limit = getattr(loading.load_config(str(model)), "max_position_embeddings", None)
    return None if limit is None else int(limit)


if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer


class Lora(Full):
    """Starts from an existing model, whose weights are not changed."""

    parameters: ClassVar[tuple[str, ...]] = (*Full.parameters, *lora.NAMES)
    defaults: ClassVar = {**Full.defaults, "learning_rate": 2e-4}

    def model(self, trainer: HuggingFaceTrainer, tokenizer: LibraryObject) -> LibraryObject:
        """The base model with new adapters, which have no effect yet."""
        base = loading.load_causal_lm(str(trainer.model), torch_env.precision(trainer.precision))
        config = lora.lora_config(trainer)
        if trainer.merge:
            lora.untie(base, config)
        return lora.peft().get_peft_model(base, config)
