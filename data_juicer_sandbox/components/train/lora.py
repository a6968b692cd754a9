"""Low-rank adapters: a few new weights beside the model's own, which stay as they are."""

from __future__ import annotations

from typing import Any, Protocol

from data_juicer_sandbox import optional
from data_juicer_sandbox.components import compute


class LoraParameters(Protocol):
    """The parameters of a trainer that speak of LoRA."""

    lora_r: int
    lora_alpha: float
    lora_dropout: float
    lora_target_modules: str | list[str]


NAMES = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "merge")


def peft() -> Any:
    """The peft library."""
    return optional.load("peft", extra=compute.EXTRA)


def lora_config(given: LoraParameters) -> Any:
    """The adapters' shape, for peft."""
    return peft().LoraConfig(
        task_type="CAUSAL_LM",
        r=given.lora_r,
        lora_alpha=given.lora_alpha,
        lora_dropout=given.lora_dropout,
        target_modules=given.lora_target_modules,
    )
