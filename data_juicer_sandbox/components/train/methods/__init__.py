"""How a causal language model is trained on text: a file a method, and the table of them."""

from __future__ import annotations

from data_juicer_sandbox.components.train.methods.base import Method
from data_juicer_sandbox.components.train.methods.full import Full
from data_juicer_sandbox.components.train.methods.lora import Lora
from data_juicer_sandbox.components.train.methods.scratch import Scratch

METHODS: dict[str, Method] = {"scratch": Scratch(), "full": Full(), "lora": Lora()}
