"""A byte-level BPE tokenizer, trained on the training data itself."""

from __future__ import annotations

from collections.abc import Iterable

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.types import LibraryObject

END = "<|endoftext|>"


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
