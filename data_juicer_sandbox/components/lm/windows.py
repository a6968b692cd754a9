"""Sliding windows over documents longer than a model's context, and log-likelihoods of their tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.model_check import check_token
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject

SORTED_TOGETHER = 64
"""Number of batches whose windows are sorted by length together, to reduce padding."""
IGNORED = -100


@dataclass(frozen=True)
class Window:
    """A part of a document that fits the model's context.

    Args:
        tokens: the model's input.
        scored: number of scored tokens at its end; the tokens before are context, which an earlier window scores.
    """

    tokens: list[int]
    scored: int


def windows(tokens: list[int], context: int, stride: int) -> Iterator[Window]:
    """Split a document into overlapping windows that score each token except the first exactly once.

    The first window is full; each further one starts `stride` tokens later, so that a scored token has a context of at
    least `context - stride` tokens, or all preceding ones.

    Source: sliding window evaluation, Press et al. 2021, "Shortformer", section 2; Baevski and Auli 2019.

    Args:
        tokens: the document, with a start token in front.
        context: maximum number of tokens of a window, >= 2.
        stride: 1 to context - 1.
    """
    end = min(len(tokens), context)
    yield Window(tokens[:end], end - 1)
    while end < len(tokens):
        last, end = end, min(end + stride, len(tokens))
        yield Window(tokens[max(0, end - context) : end], end - last)


def check_block_size(block_size: int | None, context: int | None) -> None:
    """Check that blocks fit into a model's context.

    Args:
        block_size: tokens of a block, if set.
        context: the model's maximum context, if known.

    Raises:
        JobError: the blocks are longer.
    """
    if block_size and context and block_size > context:
        raise JobError(f"block_size {block_size} is more than the model's context of {context} tokens")


def fitting(model: LibraryObject, block_size: int | None, stride: int | None) -> tuple[int, int]:
    """Window size and stride for a model, in tokens.

    Args:
        model: a causal language model.
        block_size: the requested window size; None for the model's maximum context, at most 2048.
        stride: the requested stride; None for half a window.

    Raises:
        JobError: the window is larger than the model's context, or the stride is not smaller than the window.
    """
    longest = getattr(model.config, "max_position_embeddings", None)
    check_block_size(block_size, longest)
    context = block_size or min(longest or 2048, 2048)
    step = stride or max(1, context // 2)
    if step >= context:
        raise JobError(f"stride {step} must be below the window of {context} tokens")
    return context, step


def score(model: LibraryObject, pieces: Iterable[Window], batch_size: int) -> Iterator[tuple[float, int]]:
    """Yield negative log-likelihoods, in nats, and numbers of scored tokens, batch by batch.

    Batches are padded on the right, which does not affect a causal model.

    Args:
        model: a causal language model in eval mode.
        pieces: windows, consumed lazily.
        batch_size: number of windows in a batch.
    """
    pieces = iter(pieces)
    while chunk := sorted(islice(pieces, batch_size * SORTED_TOGETHER), key=lambda piece: -len(piece.tokens)):
        for start in range(0, len(chunk), batch_size):
            batch = chunk[start : start + batch_size]
            yield math.fsum(nats(model, batch)), sum(piece.scored for piece in batch)


def nats(model: LibraryObject, batch: list[Window]) -> list[float]:
    """The negative log-likelihood of each window's scored tokens, summed in float64."""
    return [float(losses.double().sum()) for losses in token_nats(model, batch)]


def token_nats(model: LibraryObject, batch: list[Window]) -> list[LibraryObject]:
    """The negative log-likelihood of each token of each window, given the tokens before it.

    Returns:
        A float32 tensor for each window, shape (longest window - 1,): at index i the value of token i + 1, or 0 if that
        token is not scored.

    Raises:
        JobError: the model has no embedding for a token.
    """
    torch = torch_env.torch()
    check_token(max(max(piece.tokens) for piece in batch), model)
    shape = (len(batch), max(len(piece.tokens) for piece in batch))
    tokens = torch.zeros(shape, dtype=torch.long)
    mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    for row, piece in enumerate(batch):
        length = len(piece.tokens)
        tokens[row, :length] = torch.tensor(piece.tokens)
        mask[row, :length] = 1
        labels[row, length - piece.scored : length] = tokens[row, length - piece.scored : length]
    with torch.no_grad():  # not inference_mode: a model in training may cache tensors that it later needs for backward
        logits = model(input_ids=tokens.to(model.device), attention_mask=mask.to(model.device), use_cache=False).logits
        targets = labels[:, 1:].to(model.device)
        return [  # row by row: float32 copies of all logits may not fit into memory with a large vocabulary
            torch.nn.functional.cross_entropy(row[:-1].float(), target, ignore_index=IGNORED, reduction="none")
            for row, target in zip(logits, targets, strict=True)
        ]
