"""LoRA: small matrices trained beside a model's own weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from data_juicer_sandbox.components.lm import lora, torch_env
from data_juicer_sandbox.components.train.methods.full import Full

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer


class Lora(Full):
    """Begins with a model that is there, and leaves its weights alone."""

    parameters: ClassVar[tuple[str, ...]] = (*Full.parameters, *lora.NAMES)
    defaults: ClassVar = {**Full.defaults, "learning_rate": 2e-4}

    def model(self, given: HuggingFaceTrainer, tokenizer: Any) -> Any:
        """The model with new matrices, which change nothing yet."""
        base = torch_env.load_causal_lm(str(given.model), torch_env.precision(given.precision))
        shape = lora.lora_config(given)
        if given.merge:
            lora.untie(base, shape)
        return lora.peft().get_peft_model(base, shape)
