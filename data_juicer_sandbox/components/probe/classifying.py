"""What a classifier takes a text for, and how sure it is."""

from __future__ import annotations

import math
from typing import Any

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.probe.scorers import Feedback, Row, figure, text_of
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import shown

_NO_LIMIT = 1_000_000
"""A tokenizer that knows no longest text gives a number above this."""


class Classifier:
    """Prediction, confidence and probabilities of a sequence classifier, row by row; the score of a regression head.

    Args:
        model: in eval mode. With one label it is a regression.
        tokenizer: the model's.
        text_key: the field that holds the text; what is longer than the model takes is cut.
        label_key: the field that holds the right label, by name or number; with it the loss is told too.
        max_tokens: tokens of each text to look at; what the model takes when None.
        batch_size: texts in a batch.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        text_key: str,
        label_key: str | None,
        max_tokens: int | None,
        batch_size: int,
    ):
        self.model, self.tokenizer, self.text_key, self.label_key = model, tokenizer, text_key, label_key
        self.batch_size = batch_size
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if model.config.pad_token_id is None:  # by it a decoder finds the last token of a padded text
            model.config.pad_token_id = tokenizer.pad_token_id
        longest = (max_tokens, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))
        self.longest = min((limit for limit in longest if limit and limit < _NO_LIMIT), default=None)
        self.labels = [str(model.config.id2label[number]) for number in range(model.config.num_labels)]

    def say(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row."""
        texts = [text_of(row, self.text_key) for row in rows]
        tokens = self.tokenizer(texts, truncation=self.longest is not None, max_length=self.longest)["input_ids"]
        order = sorted(range(len(rows)), key=lambda place: -len(tokens[place]))
        found: dict[int, Feedback] = {}
        for first in range(0, len(order), self.batch_size):
            places = order[first : first + self.batch_size]
            for place, logits in zip(places, self._logits([texts[place] for place in places]), strict=True):
                found[place] = self._feedback(rows[place], logits, len(tokens[place]))
        return [found[place] for place in range(len(rows))]

    def _logits(self, texts: list[str]) -> Any:
        batch = self.tokenizer(
            texts, truncation=self.longest is not None, max_length=self.longest, padding=True, return_tensors="pt"
        )
        with torch_env.torch().inference_mode():
            return self.model(**batch.to(self.model.device)).logits.double().cpu()

    def _feedback(self, row: Row, logits: Any, tokens: int) -> Feedback:
        if len(self.labels) == 1:
            return {"score": figure(float(logits[0])), "tokens": tokens}
        several = self.model.config.problem_type == "multi_label_classification"
        chances = (logits.sigmoid() if several else logits.softmax(-1)).tolist()
        top = max(range(len(chances)), key=chances.__getitem__)
        told = {} if self.label_key is None else self._loss(row, chances)
        return {
            **told,
            "prediction": self.labels[top],
            "confidence": figure(chances[top]),
            "probabilities": {label: figure(chance) for label, chance in zip(self.labels, chances, strict=True)},
            "tokens": tokens,
        }

    def _loss(self, row: Row, chances: list[float]) -> Feedback:
        wanted = row.get(str(self.label_key))
        known: dict[int | str, int] = {number: number for number in range(len(chances))}
        known.update({label: number for number, label in enumerate(self.labels)})
        if isinstance(wanted, bool) or not isinstance(wanted, int | str) or wanted not in known:
            hint = suggest(str(wanted), self.labels, what="the model's labels")
            raise JobError(f"{shown(wanted)} at {self.label_key!r} is no label of the model", hint=hint)
        chance = chances[known[wanted]]
        return {"loss": figure(-math.log(chance)) if chance > 0 else None}
