"""Training from scratch: a new tokenizer and a new, small GPT-2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from data_juicer_sandbox.components.lm import loading, torch_env
from data_juicer_sandbox.components.lm.packing import read_texts
from data_juicer_sandbox.components.lm.tokenizer import train_tokenizer
from data_juicer_sandbox.components.train.methods.base import Method
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer


class Scratch(Method):
    """Starts from random weights."""

    parameters = ("tokenizer_path", "tokenizer_per_dataset", "vocab_size", "n_layer", "n_embd", "n_head", "dropout")
    defaults: ClassVar = {"learning_rate": 3e-3, "warmup_ratio": 0.3, "weight_decay": 0.1, "block_size": 128}
    options: ClassVar = {"adam_beta2": 0.95}

    def check(self, trainer: HuggingFaceTrainer) -> None:
        """Check the size of the model and of the vocabulary."""
        if trainer.n_embd % trainer.n_head:
            raise ConfigError(f"n_embd {trainer.n_embd} is not a multiple of n_head {trainer.n_head}")
        if trainer.vocab_size < 257:
            raise ConfigError(
                f"vocab_size {trainer.vocab_size} has no room for the 256 bytes and the end-of-text token"
            )

    def block_size(self, trainer: HuggingFaceTrainer) -> int:
        """The configured block size, or the default."""
        return int(trainer.block_size or self.defaults["block_size"])

    def tokenizer(self, trainer: HuggingFaceTrainer, paths: list[str]) -> LibraryObject:
        """The configured tokenizer, or a new one trained on all texts of the data sets."""
        if trainer.tokenizer_path:
            return loading.load_tokenizer(trainer.tokenizer_path)
        allowance = trainer.allowance()
        texts = (text for path in paths for text in read_texts(path, trainer.text_key, allowance))
        return train_tokenizer(texts, trainer.vocab_size)

    def model(self, trainer: HuggingFaceTrainer, tokenizer: LibraryObject) -> LibraryObject:
        """A new model with weights from torch's random state."""
        library = torch_env.transformers()
        architecture = library.GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=self.block_size(trainer),
            n_embd=trainer.n_embd,
            n_layer=trainer.n_layer,
            n_head=trainer.n_head,
            activation_function="gelu_pytorch_tanh",  # equals GPT-2's function, in one kernel instead of eight
            resid_pdrop=trainer.dropout,
            embd_pdrop=trainer.dropout,
            attn_pdrop=trainer.dropout,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        return library.GPT2LMHeadModel(architecture)
