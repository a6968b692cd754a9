"""Loss and perplexity of a model on held-out texts, during or after its training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from loguru import logger

from data_juicer_sandbox.components.base import Task
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.lm.model_check import unknown_token
from data_juicer_sandbox.components.lm.packing import encode, read_texts
from data_juicer_sandbox.components.lm.windows import Window, fitting, score, windows
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject, Metrics

ENCODED_TOGETHER = 100
BATCH = 16
"""Default number of windows in a batch."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out data set that models are scored on.

    Args:
        path: the data set.
        text_key: the field with the text; empty texts are skipped.
        max_rows: number of rows to score, from the start; None for all.
        block_size: tokens of a window; None for the model's maximum context, at most 2048.
        stride: tokens between the starts of windows; None for half a window.
        batch_size: number of windows in a batch.
        allowance: the rows without a text that are skipped; None for none.
    """

    path: str
    text_key: str = "text"
    max_rows: int | None = None
    block_size: int | None = None
    stride: int | None = None
    batch_size: int = BATCH
    allowance: Allowance | None = field(default=None, compare=False)

    def check(self) -> None:
        """Check that there is a text to score.

        Raises:
            JobError: the data set is missing, or the selected rows have no text.
        """
        if next(self._texts(), None) is None:
            raise self._no_text_error()

    def score(self, model: LibraryObject, tokenizer: LibraryObject, task: Task, note: str) -> Metrics:
        """Loss in nats per token, perplexity, bits per byte of UTF-8, and the numbers of tokens, bytes and documents.

        Args:
            model: a causal language model in eval mode.
            tokenizer: the model's.
            task: its note shows the progress.
            note: prefix of the note.

        Raises:
            JobError: there is no text, the window does not fit the model, or the tokenizer gives no token.
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
            raise self._no_text_error()
        if not tokens:
            raise JobError(f"the tokenizer gives no token for the texts of {self.path}")
        loss = nats / tokens
        if counts.unknown:
            logger.warning(
                "{}: {:.2%} of the tokens of {} stand for characters that the tokenizer does not know; bits per byte "
                "are too low, and cannot be compared with those of other tokenizers",
                *(note, counts.unknown / tokens, self.path),
            )
        return {
            "loss": loss,
            "perplexity": math.exp(loss) if loss < 700 else math.inf,
            "bits_per_byte": nats / math.log(2) / counts.bytes,
            "tokens": int(tokens),
            "bytes": counts.bytes,
            "documents": counts.documents,
        }

    def _texts(self) -> Iterator[str]:
        return (text for text in islice(read_texts(self.path, self.text_key, self.allowance), self.max_rows) if text)

    def _windows(self, tokenizer: LibraryObject, context: int, stride: int, counts: _Counts) -> Iterator[Window]:
        """Yield all windows of the data set, and update the counts."""
        unknown = unknown_token(tokenizer)
        start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        texts = self._texts()
        while batch := list(islice(texts, ENCODED_TOGETHER)):
            counts.documents += len(batch)
            counts.bytes += sum(len(text.encode("utf-8", "surrogatepass")) for text in batch)
            for tokens in encode(tokenizer, batch):
                counts.unknown += 0 if unknown is None else tokens.count(unknown)
                yield from windows([start, *tokens], context, stride)

    def _no_text_error(self) -> JobError:
        return JobError(f"no text in {self.path}", hint=f"text_key is {self.text_key!r}")


@dataclass
class _Counts:
    documents: int = 0
    bytes: int = 0
    unknown: int = 0
