"""Training methods for causal language models on text: from scratch, full and LoRA, and the table `METHODS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import loading, lora, torch_env
from data_juicer_sandbox.components.lm.packing import read_texts
from data_juicer_sandbox.components.lm.windows import check_block_size
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import JsonValue, LibraryObject

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer

BLOCK = 512
"""Default number of tokens of a training example for an existing model, if its context is not shorter."""
END = "<|endoftext|>"


class Method(ABC):
    """One training method.

    Attributes:
        parameters: trainer parameters that apply to this method, but not to all methods.
        defaults: defaults of parameters whose default depends on the method.
        options: more arguments of transformers' `TrainingArguments`.
    """

    parameters: ClassVar[tuple[str, ...]]
    defaults: ClassVar[Mapping[str, JsonValue]]
    options: ClassVar[Mapping[str, JsonValue]] = {}

    @abstractmethod
    def check(self, trainer: HuggingFaceTrainer) -> None:
        """Check the parameters of the method.

        Raises:
            ConfigError: a parameter is invalid.
        """

    @abstractmethod
    def block_size(self, trainer: HuggingFaceTrainer) -> int:
        """The number of tokens of a training example."""

    @abstractmethod
    def tokenizer(self, trainer: HuggingFaceTrainer, paths: list[str]) -> LibraryObject:
        """The tokenizer for the models of some data sets."""

    @abstractmethod
    def model(self, trainer: HuggingFaceTrainer, tokenizer: LibraryObject) -> LibraryObject:
        """The initial model."""


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


METHODS: dict[str, Method] = {"scratch": Scratch(), "full": Full(), "lora": Lora()}


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> LibraryObject:
    """Train a byte-level BPE tokenizer with GPT-2's pre-tokenization, which can encode any text.

    Source: Sennrich et al. 2016 (BPE); Radford et al. 2019 (over bytes).

    Args:
        texts: the documents.
        vocab_size: maximum number of tokens, including the 256 bytes and the end-of-text token; short texts give fewer.

    Returns:
        A transformers tokenizer whose BOS, EOS and padding token is `<|endoftext|>`.
    """
    library = imports.load("tokenizers", extra=torch_env.EXTRA)
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return torch_env.transformers().PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END
    )
