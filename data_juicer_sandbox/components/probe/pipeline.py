"""`PipelineScorer`: feedback from a ModelScope pipeline."""

from __future__ import annotations

from collections.abc import Mapping

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.packing import text_of
from data_juicer_sandbox.components.probe.scorers import Feedback, figure
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import JsonValue, LibraryObject, Row


class PipelineScorer:
    """Scores texts with a ModelScope pipeline.

    Args:
        task: the pipeline's task.
        model: a folder with a `configuration.json`, or an id on the ModelScope hub.
        text_key: the field of the text.
        batch_size: texts in a batch.
        params: more keyword arguments for the pipeline.

    Raises:
        JobError: ModelScope has no such pipeline for that model.
    """

    def __init__(self, task: str, model: str, text_key: str, batch_size: int, params: Mapping[str, JsonValue]):
        pipelines = imports.load("modelscope.pipelines", extra="modelscope")
        device = "gpu" if torch_env.device() == "cuda" else "cpu"
        try:
            self.pipeline = pipelines.pipeline(task, model=model, **{"device": device, **params})
        except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
            message = str(error).strip().splitlines()[0]
            hint = "ModelScope's own models need transformers below 5" if not isinstance(error, OSError) else None
            raise JobError(f"ModelScope makes no {task!r} pipeline of {model!r}: {message}", hint=hint) from error
        self.text_key, self.batch_size = text_key, batch_size

    def score(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row."""
        texts = [text_of(row, self.text_key) for row in rows]
        outputs = self.pipeline(texts, batch_size=self.batch_size)
        return [feedback(output) for output in outputs]


def feedback(output: Mapping[str, LibraryObject]) -> Feedback:
    """The output of a pipeline for a text as plain values."""
    feedback_values: Feedback = {}
    for name, value in output.items():
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, str | bool):
            feedback_values[name] = value
        elif isinstance(value, int | float):
            feedback_values[name] = figure(float(value))
    labels, scores = output.get("labels"), output.get("scores")
    if labels is not None and scores is not None and len(labels) == len(scores) > 0:
        probability_by_label = {str(label): float(score) for label, score in zip(labels, scores, strict=True)}
        prediction = max(probability_by_label, key=probability_by_label.__getitem__)
        probabilities = {label: figure(probability) for label, probability in probability_by_label.items()}
        feedback_values |= {
            "prediction": prediction,
            "confidence": probabilities[prediction],
            "probabilities": probabilities,
        }
    return feedback_values
