"""`CausalScorer`: loss, perplexity and confidence of a causal language model on each row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from loguru import logger

from data_juicer_sandbox.components.lm.model_check import unknown_token
from data_juicer_sandbox.components.lm.packing import encode, text_of
from data_juicer_sandbox.components.lm.windows import Window, fitting, token_nats, windows
from data_juicer_sandbox.components.probe.scorers import Feedback, exp, figure
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject, Row


@dataclass
class _Sum:
    nats: list[float] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    tokens: int = 0


class CausalScorer:
    """Loss, perplexity, bits per byte and confidence of a causal language model, row by row.

    Each token of a text is scored once, the first one after the BOS (or else EOS) token; the end of the text is not
    scored. Texts longer than a window are scored in sliding windows.

    Args:
        model: the model, in eval mode.
        tokenizer: the model's tokenizer.
        text_key: the field of the text.
        max_tokens: number of tokens of each text to score, from its start; None for all.
        block_size: tokens of a window; None for the model's context, at most 2048.
        stride: step of the window in tokens; None for half a window.
        batch_size: windows in a batch.

    Raises:
        JobError: the tokenizer has neither a BOS nor an EOS token, or the windows do not fit the model.
    """

    def __init__(
        self,
        model: LibraryObject,
        tokenizer: LibraryObject,
        *,
        text_key: str,
        max_tokens: int | None,
        block_size: int | None,
        stride: int | None,
        batch_size: int,
    ):
        self.model, self.tokenizer, self.text_key = model, tokenizer, text_key
        self.max_tokens, self.batch_size = max_tokens, batch_size
        self.context, self.stride = fitting(model, block_size, stride)
        self._unknown = unknown_token(tokenizer)
        self._start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        if self._start is None:
            raise JobError("the tokenizer has neither a BOS nor an EOS token", hint="set eos_token in its config")

    def score(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row; a text without tokens has `tokens` 0 and null for the rest."""
        texts = [text_of(row, self.text_key) for row in rows]
        encoded = encode(self.tokenizer, texts)
        self._warn_of_unknown(encoded)
        sums = [_Sum() for _ in rows]
        for window_sums, row_index in self._score_windows(encoded, sums):
            sums[row_index].nats.append(window_sums[0])
            sums[row_index].probability.append(window_sums[1])
        return [
            self._feedback(row_sum, self._bytes(text, len(tokens)))
            for row_sum, text, tokens in zip(sums, texts, encoded, strict=True)
        ]

    def _warn_of_unknown(self, encoded: list[list[int]]) -> None:
        """Warn once if the tokenizer does not know characters of the texts."""
        if self._unknown is None or not (count := sum(tokens.count(self._unknown) for tokens in encoded)):
            return
        share = count / sum(map(len, encoded))
        logger.warning(
            "the tokenizer does not know characters of the texts ({:.2%} of the tokens): bits per byte are too low",
            share,
        )
        self._unknown = None

    def _score_windows(self, encoded: list[list[int]], sums: list[_Sum]) -> list[tuple[tuple[float, float], int]]:
        """Summed nats and probabilities of each window, and its row; windows of similar length share a batch."""
        pending: list[tuple[Window, int]] = []
        for row_index, tokens in enumerate(encoded):
            scored_tokens = tokens[: self.max_tokens]
            sums[row_index].tokens = len(scored_tokens)
            if scored_tokens:
                pending += [
                    (window, row_index) for window in windows([self._start, *scored_tokens], self.context, self.stride)
                ]
        pending.sort(key=lambda item: -len(item[0].tokens))
        window_results = []
        for first in range(0, len(pending), self.batch_size):
            batch = pending[first : first + self.batch_size]
            for (window, row_index), losses in zip(
                batch, token_nats(self.model, [item for item, _ in batch]), strict=True
            ):
                end = len(window.tokens) - 1
                scored = losses[end - window.scored : end].double()
                window_results.append(((float(scored.sum()), float((-scored).exp().sum())), row_index))
        return window_results

    def _feedback(self, row_sum: _Sum, size: int | None) -> Feedback:
        if not row_sum.tokens:
            return {"loss": None, "perplexity": None, "bits_per_byte": None, "confidence": None, "tokens": 0}
        nats = math.fsum(row_sum.nats)
        loss = nats / row_sum.tokens
        return {
            "loss": figure(loss),
            "perplexity": figure(exp(loss)),
            "bits_per_byte": figure(nats / math.log(2) / size) if size else None,
            "confidence": figure(math.fsum(row_sum.probability) / row_sum.tokens),
            "tokens": row_sum.tokens,
        }

    def _bytes(self, text: str, tokens: int) -> int | None:
        """Number of UTF-8 bytes of the scored part of a text; None if the tokenizer has no offsets."""
        if self.max_tokens is not None and tokens > self.max_tokens:
            if not self.tokenizer.is_fast:
                return None
            options = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
            offsets = self.tokenizer([text], verbose=False, **options)["offset_mapping"][0]
            text = text[: offsets[self.max_tokens - 1][1]]
        return len(text.encode("utf-8", "surrogatepass"))
