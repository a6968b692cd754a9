"""Documents of any length seen through a model's limited context, and what the model thinks of every token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError

SORTED_TOGETHER = 64
"""Batches whose windows are sorted by length together, so that little padding is needed."""
IGNORED = -100


@dataclass(frozen=True)
class Window:
    """A piece of a document that fits the model.

    Args:
        tokens: what the model sees.
        scored: how many of its last tokens count; those before are context only, counted in an earlier window.
    """

    tokens: list[int]
    scored: int


def windows(tokens: list[int], context: int, stride: int) -> Iterator[Window]:
    """Cut a document into overlapping windows such that each token but the first is scored exactly once.

    The first window is full; each next one moves on by `stride` tokens, so that a scored token has at least
    `context - stride` tokens before it, or all there are.

    Source: sliding window evaluation, Press et al. 2021, "Shortformer", section 2; Baevski and Auli 2019.

    Args:
        tokens: the document with a start token in front.
        context: tokens of a window at most, >= 2.
        stride: 1 to context - 1.
    """
    end = min(len(tokens), context)
    yield Window(tokens[:end], end - 1)
    while end < len(tokens):
        last, end = end, min(end + stride, len(tokens))
        yield Window(tokens[max(0, end - context) : end], end - last)


def fitting(model: Any, block_size: int | None, stride: int | None) -> tuple[int, int]:
    """Tokens of a window and of a step for a model.

    Args:
        model: a causal language model.
        block_size: the window that is wanted; None for the model's longest context, at most 2048.
        stride: the step that is wanted; None for half a window.

    Raises:
        JobError: the window does not fit the model, or the step the window.
    """
    longest = getattr(model.config, "max_position_embeddings", None)
    context = block_size or min(longest or 2048, 2048)
    if longest and context > longest:
        raise JobError(f"block_size {context} is more than the model's context of {longest} tokens")
    step = stride or max(1, context // 2)
    if step >= context:
        raise JobError(f"stride {step} is not below the window of {context} tokens")
    return context, step


def score(model: Any, pieces: Iterable[Window], batch_size: int) -> Iterator[tuple[float, int]]:
    """Negative log-likelihoods, in nats, and tokens scored, a batch at a time.

    Batches are padded on the right, which a causal model's tokens before cannot see.

    Args:
        model: a causal language model in eval mode.
        pieces: windows, taken lazily.
        batch_size: windows in a batch.
    """
    pieces = iter(pieces)
    while chunk := sorted(islice(pieces, batch_size * SORTED_TOGETHER), key=lambda piece: -len(piece.tokens)):
        for start in range(0, len(chunk), batch_size):
            batch = chunk[start : start + batch_size]
            yield math.fsum(nats(model, batch)), sum(piece.scored for piece in batch)


def nats(model: Any, batch: list[Window]) -> list[float]:
    """The negative log-likelihood of each window's scored tokens, summed in float64."""
    return [float(losses.double().sum()) for losses in token_nats(model, batch)]


def token_nats(model: Any, batch: list[Window]) -> list[Any]:
    """The negative log-likelihood of each token of each window, given those before it.

    Returns:
        A float32 tensor for each window, shape (longest window - 1,): at place i what token i + 1 costs, 0 where that
        token is not scored.
    """
    torch = torch_env.torch()
    shape = (len(batch), max(len(piece.tokens) for piece in batch))
    tokens = torch.zeros(shape, dtype=torch.long)
    mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    for row, piece in enumerate(batch):
        length = len(piece.tokens)
        tokens[row, :length] = torch.tensor(piece.tokens)
        mask[row, :length] = 1
        labels[row, length - piece.scored : length] = tokens[row, length - piece.scored : length]
    with torch.no_grad():  # what a model in training keeps of inference mode, it could not train with
        logits = model(input_ids=tokens.to(model.device), attention_mask=mask.to(model.device), use_cache=False).logits
        targets = labels[:, 1:].to(model.device)
        return [  # a row at a time: float32 copies of all logits may not fit where the vocabulary is large
            torch.nn.functional.cross_entropy(row[:-1].float(), target, ignore_index=IGNORED, reduction="none")
            for row, target in zip(logits, targets, strict=True)
        ]
