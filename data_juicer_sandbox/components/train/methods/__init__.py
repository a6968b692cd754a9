"""Training methods for causal language models on text: one module per method, and the table `METHODS`."""

from __future__ import annotations

from data_juicer_sandbox.components.train.methods.base import Method
from data_juicer_sandbox.components.train.methods.full import Full
from data_juicer_sandbox.components.train.methods.lora import Lora
from data_juicer_sandbox.components.train.methods.scratch import Scratch

METHODS: dict[str, Method] = {"scratch": Scratch(), "full": Full(), "lora": Lora()}
