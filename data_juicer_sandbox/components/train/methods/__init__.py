"""Training methods for causal language models on text: from scratch, full and LoRA, and the table `METHODS`."""

from __future__ import annotations

from data_juicer_sandbox.components.train.methods.base import Method
from data_juicer_sandbox.components.train.methods.full import Full, Lora
from data_juicer_sandbox.components.train.methods.scratch import Scratch

METHODS: dict[str, Method] = {"scratch": Scratch(), "full": Full(), "lora": Lora()}
