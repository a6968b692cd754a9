"""How a causal language model takes a text: how surprised it is, how sure of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from data_juicer_sandbox.components.lm.packing import encode
from data_juicer_sandbox.components.lm.windows import Window, fitting, token_nats, windows
from data_juicer_sandbox.components.probe.scorers import Feedback, Row, exp, figure, text_of
from data_juicer_sandbox.errors import JobError


@dataclass
class _Sum:
    nats: list[float] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    tokens: int = 0


class CausalJudge:
    """Loss, perplexity, bits per byte and confidence of a causal language model, row by row.

    Each token of a text is scored once, the first one given the BOS (or else EOS) token; the end of the text is not.
    Texts longer than a window are read through a sliding one.

    Args:
        model: in eval mode.
        tokenizer: the model's.
        text_key: the field that holds the text.
        max_tokens: tokens of each text to look at, from its start; all when None.
        block_size: tokens of a window; None for the model's context, at most 2048.
        stride: tokens that the window moves on by; None for half a window.
        batch_size: windows in a batch.

    Raises:
        JobError: the tokenizer has neither a BOS nor an EOS token, or the windows do not fit the model.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
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
        self._start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        if self._start is None:
            raise JobError("the tokenizer has neither a BOS nor an EOS token", hint="set eos_token in its config")

    def say(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row; a text without tokens has `tokens` 0 and null for the rest."""
        texts = [text_of(row, self.text_key) for row in rows]
        encoded = encode(self.tokenizer, texts)
        sums = [_Sum() for _ in rows]
        for piece, place in self._pieces(encoded, sums):
            sums[place].nats.append(piece[0])
            sums[place].probability.append(piece[1])
        return [
            self._feedback(found, self._bytes(text, len(tokens)))
            for found, text, tokens in zip(sums, texts, encoded, strict=True)
        ]

    def _pieces(self, encoded: list[list[int]], sums: list[_Sum]) -> list[tuple[tuple[float, float], int]]:
        """Nats and probability of each window, and whose it is; windows of like length go through together."""
        queue: list[tuple[Window, int]] = []
        for place, tokens in enumerate(encoded):
            seen = tokens[: self.max_tokens]
            sums[place].tokens = len(seen)
            if seen:
                queue += [(window, place) for window in windows([self._start, *seen], self.context, self.stride)]
        queue.sort(key=lambda one: -len(one[0].tokens))
        found = []
        for first in range(0, len(queue), self.batch_size):
            batch = queue[first : first + self.batch_size]
            for (window, place), losses in zip(batch, token_nats(self.model, [one for one, _ in batch]), strict=True):
                end = len(window.tokens) - 1
                scored = losses[end - window.scored : end].double()
                found.append(((float(scored.sum()), float((-scored).exp().sum())), place))
        return found

    def _feedback(self, found: _Sum, size: int | None) -> Feedback:
        if not found.tokens:
            return {"loss": None, "perplexity": None, "bits_per_byte": None, "confidence": None, "tokens": 0}
        nats = math.fsum(found.nats)
        loss = nats / found.tokens
        return {
            "loss": figure(loss),
            "perplexity": figure(exp(loss)),
            "bits_per_byte": figure(nats / math.log(2) / size) if size else None,
            "confidence": figure(math.fsum(found.probability) / found.tokens),
            "tokens": found.tokens,
        }

    def _bytes(self, text: str, tokens: int) -> int | None:
        """UTF-8 bytes of the part of a text that is looked at; None where the tokenizer cannot tell."""
        if self.max_tokens is not None and tokens > self.max_tokens:
            if not self.tokenizer.is_fast:
                return None
            options = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
            offsets = self.tokenizer([text], verbose=False, **options)["offset_mapping"][0]
            text = text[: offsets[self.max_tokens - 1][1]]
        return len(text.encode("utf-8", "surrogatepass"))
