"""Checks of a loaded model and its tokenizer, whose faults would otherwise show as wrong figures or raw errors."""

from __future__ import annotations

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject


def check_vocabulary(tokenizer: LibraryObject, path: str) -> None:
    """Check that a tokenizer has more tokens than the special ones; without its files, transformers creates such one.

    Raises:
        JobError: it has not.
    """
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise JobError(
            f"{path} has no tokenizer: its vocabulary is empty",
            hint="copy tokenizer.json and tokenizer_config.json of the base model into the folder",
        )


def check_weights(model: LibraryObject, path: str) -> None:
    """Check that all weights are finite.

    Raises:
        JobError: some are NaN or infinite; the error names the first of them.
    """
    torch = torch_env.torch()
    for name, weights in model.named_parameters():
        if weights.is_floating_point() and not weights.is_meta and not torch.isfinite(weights).all():
            count = int((~torch.isfinite(weights)).sum())
            raise JobError(
                f"{path} has weights that are NaN or infinite: {count:,} of {weights.numel():,} in {name}",
                hint="the model's training diverged, or the file is damaged",
            )


def vocabulary_of(model: LibraryObject) -> int:
    """The number of tokens that a model has embeddings for."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_token(token: int, model: LibraryObject) -> None:
    """Check that a model has an embedding for a token, the largest of a text.

    Raises:
        JobError: the tokenizer is not the model's.
    """
    if token >= (size := vocabulary_of(model)):
        raise JobError(
            f"the tokenizer gives the token {token:,}, but the model has only {size:,} embeddings",
            hint="use the tokenizer that the model was trained with",
        )


def unknown_token(tokenizer: LibraryObject) -> int | None:
    """The token for characters that a tokenizer does not know; None if it can encode any text.

    Byte-level tokenizers name one too, but it is their end-of-text token, and never the result for a text.
    """
    token = tokenizer.unk_token_id
    return None if token in (None, tokenizer.eos_token_id, tokenizer.bos_token_id) else int(token)
