"""`ClassifierScorer`: prediction and confidence of a sequence classifier on each row."""

from __future__ import annotations

import math

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.model_check import check_token
from data_juicer_sandbox.components.lm.packing import text_of
from data_juicer_sandbox.components.probe.scorers import Feedback, figure
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import LibraryObject, Row

_NO_LIMIT = 1_000_000
"""A `model_max_length` above this means that the tokenizer has no limit."""


class ClassifierScorer:
    """Prediction, confidence and probabilities of a sequence classifier, row by row; the score of a regression head.

    Args:
        model: the model, in eval mode. One label means regression.
        tokenizer: the model's tokenizer.
        text_key: the field of the text; texts longer than the model's limit are truncated.
        label_key: the field of the true label, by name or number; adds the loss to the feedback.
        max_tokens: maximum number of tokens of each text; None for the model's limit.
        batch_size: texts in a batch.
    """

    def __init__(
        self,
        model: LibraryObject,
        tokenizer: LibraryObject,
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
        if model.config.pad_token_id is None:  # decoder models use it to find the last token of a padded text
            model.config.pad_token_id = tokenizer.pad_token_id
        longest = (max_tokens, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))
        self.longest = min((limit for limit in longest if limit and limit < _NO_LIMIT), default=None)
        self.labels = [str(model.config.id2label[number]) for number in range(model.config.num_labels)]

    def score(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row."""
        texts = [text_of(row, self.text_key) for row in rows]
        tokens = self.tokenizer(texts, truncation=self.longest is not None, max_length=self.longest)["input_ids"]
        order = sorted(range(len(rows)), key=lambda row_index: -len(tokens[row_index]))
        feedback_by_row: dict[int, Feedback] = {}
        for first in range(0, len(order), self.batch_size):
            row_indices = order[first : first + self.batch_size]
            for row_index, logits in zip(
                row_indices, self._logits([texts[row_index] for row_index in row_indices]), strict=True
            ):
                feedback_by_row[row_index] = self._feedback(rows[row_index], logits, len(tokens[row_index]))
        return [feedback_by_row[row_index] for row_index in range(len(rows))]

    def _logits(self, texts: list[str]) -> LibraryObject:
        batch = self.tokenizer(
            texts, truncation=self.longest is not None, max_length=self.longest, padding=True, return_tensors="pt"
        )
        check_token(int(batch["input_ids"].max()), self.model)
        with torch_env.torch().inference_mode():
            return self.model(**batch.to(self.model.device)).logits.double().cpu()

    def _feedback(self, row: Row, logits: LibraryObject, tokens: int) -> Feedback:
        if len(self.labels) == 1:
            return {"score": figure(float(logits[0])), "tokens": tokens}
        multi_label = self.model.config.problem_type == "multi_label_classification"
        probabilities = (logits.sigmoid() if multi_label else logits.softmax(-1)).tolist()
        best_label = max(range(len(probabilities)), key=probabilities.__getitem__)
        loss_field = {} if self.label_key is None else self._loss(row, probabilities)
        return {
            **loss_field,
            "prediction": self.labels[best_label],
            "confidence": figure(probabilities[best_label]),
            "probabilities": {
                label: figure(probability) for label, probability in zip(self.labels, probabilities, strict=True)
            },
            "tokens": tokens,
        }

    def _loss(self, row: Row, probabilities: list[float]) -> Feedback:
        row_label = row.get(str(self.label_key))
        label_numbers: dict[int | str, int] = {number: number for number in range(len(probabilities))}
        label_numbers.update({label: number for number, label in enumerate(self.labels)})
        if isinstance(row_label, bool) or not isinstance(row_label, int | str) or row_label not in label_numbers:
            hint = suggest(str(row_label), self.labels, what="the model's labels")
            raise JobError(f"{shown(row_label)} at {self.label_key!r} is not a label of the model", hint=hint)
        probability = probabilities[label_numbers[row_label]]
        return {"loss": figure(-math.log(probability)) if probability > 0 else None}
