"""LoRA: trains low-rank adapters of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from data_juicer_sandbox.components.lm import lora, torch_env
from data_juicer_sandbox.components.train.methods.full import Full

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer


class Lora(Full):
    """Starts from an existing model, whose weights are not changed."""

    parameters: ClassVar[tuple[str, ...]] = (*Full.parameters, *lora.NAMES)
    defaults: ClassVar = {**Full.defaults, "learning_rate": 2e-4}

    def model(self, trainer: HuggingFaceTrainer, tokenizer: Any) -> Any:
        """The base model with new adapters, which have no effect yet."""
        base = torch_env.load_causal_lm(str(trainer.model), torch_env.precision(trainer.precision))
        config = lora.lora_config(trainer)
        if trainer.merge:
            lora.untie(base, config)
        return lora.peft().get_peft_model(base, config)
