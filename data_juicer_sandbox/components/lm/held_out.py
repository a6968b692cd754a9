"""Texts that a model has not seen, and how well it predicts them: after its training, or in the midst of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from data_juicer_sandbox.components.base import Task
from data_juicer_sandbox.components.lm.packing import encode, read_texts
from data_juicer_sandbox.components.lm.windows import Window, fitting, score, windows
from data_juicer_sandbox.errors import JobError

ENCODED_TOGETHER = 100
BATCH = 16
"""Windows in a batch, where nobody says otherwise."""


@dataclass(frozen=True)
class HeldOut:
    """A data set that models are scored on.

    Args:
        path: the data set.
        text_key: the field that holds the text; empty texts are passed over.
        max_rows: rows to score, from its start; None for all.
        block_size: tokens of a window; None for the model's longest context, 2048 at most.
        stride: tokens that the window moves on by; None for half a window.
        batch_size: windows in a batch.
    """

    path: str
    text_key: str = "text"
    max_rows: int | None = None
    block_size: int | None = None
    stride: int | None = None
    batch_size: int = BATCH

    def check(self) -> None:
        """See that there is something to score.

        Raises:
            JobError: there is no data set, or no text in the rows that are wanted.
        """
        if next(self._texts(), None) is None:
            raise self._nothing()

    def score(self, model: Any, tokenizer: Any, task: Task, note: str) -> dict[str, Any]:
        """Loss in nats per token, perplexity, bits per byte of the UTF-8 text, and what they are of.

        Args:
            model: a causal language model in eval mode.
            tokenizer: the model's.
            task: whose note tells of the work.
            note: what the note begins with.

        Raises:
            JobError: there is no text, or the window does not fit the model.
        """
        counts = _Counts()
        context, stride = fitting(model, self.block_size, self.stride)
        nats = tokens = 0.0
        for batch_nats, batch_tokens in score(
            model, self._windows(tokenizer, context, stride, counts), self.batch_size
        ):
            nats, tokens = nats + batch_nats, tokens + batch_tokens
            task.update(note=f"{note}: {tokens:,.0f} tokens, {nats / tokens:.3f} nats each")
        if not counts.bytes:
            raise self._nothing()
        loss = nats / tokens
        return {
            "loss": loss,
            "perplexity": math.exp(loss) if loss < 700 else math.inf,
            "bits_per_byte": nats / math.log(2) / counts.bytes,
            "tokens": int(tokens),
            "bytes": counts.bytes,
            "documents": counts.documents,
        }

    def _texts(self) -> Iterator[str]:
        return (text for text in islice(read_texts(self.path, self.text_key), self.max_rows) if text)

    def _windows(self, tokenizer: Any, context: int, stride: int, counts: _Counts) -> Iterator[Window]:
        """All windows of the data set, counting what goes by."""
        start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        texts = self._texts()
        while batch := list(islice(texts, ENCODED_TOGETHER)):
            counts.documents += len(batch)
            counts.bytes += sum(len(text.encode("utf-8", "surrogatepass")) for text in batch)
            for tokens in encode(tokenizer, batch):
                yield from windows([start, *tokens], context, stride)

    def _nothing(self) -> JobError:
        return JobError(f"there is no text in {self.path}", hint=f"its key is {self.text_key!r}")


@dataclass
class _Counts:
    documents: int = 0
    bytes: int = 0
