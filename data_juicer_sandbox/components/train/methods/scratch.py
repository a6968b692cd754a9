"""From scratch: a new tokenizer and a new, small GPT-2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.packing import read_texts
from data_juicer_sandbox.components.lm.tokenizer import train_tokenizer
from data_juicer_sandbox.components.train.methods.base import Method
from data_juicer_sandbox.errors import ConfigError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer


class Scratch(Method):
    """Weights drawn from the seed."""

    parameters = ("tokenizer_path", "vocab_size", "n_layer", "n_embd", "n_head", "dropout")
    defaults: ClassVar = {"learning_rate": 3e-3, "warmup_ratio": 0.3, "weight_decay": 0.1, "block_size": 128}
    options: ClassVar = {"adam_beta2": 0.95}

    def check(self, given: HuggingFaceTrainer) -> None:
        """What must be given, and fit."""
        if given.n_embd % given.n_head:
            raise ConfigError(f"n_embd {given.n_embd} is not a multiple of n_head {given.n_head}")
        if given.vocab_size < 257:
            raise ConfigError(f"vocab_size {given.vocab_size} has no room for the 256 bytes and the end-of-text token")

    def block_size(self, given: HuggingFaceTrainer) -> int:
        """As given, or the default."""
        return int(given.block_size or self.defaults["block_size"])

    def tokenizer(self, given: HuggingFaceTrainer, path: str) -> Any:
        """The one that is given, or a new one."""
        if given.tokenizer_path:
            return torch_env.load_tokenizer(given.tokenizer_path)
        return train_tokenizer(read_texts(path, given.text_key), given.vocab_size)

    def model(self, given: HuggingFaceTrainer, tokenizer: Any) -> Any:
        """A new model; its weights are drawn from torch's random state."""
        library = torch_env.transformers()
        architecture = library.GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=self.block_size(given),
            n_embd=given.n_embd,
            n_layer=given.n_layer,
            n_head=given.n_head,
            activation_function="gelu_pytorch_tanh",  # GPT-2's own function, in one kernel instead of eight
            resid_pdrop=given.dropout,
            embd_pdrop=given.dropout,
            attn_pdrop=given.dropout,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        return library.GPT2LMHeadModel(architecture)
