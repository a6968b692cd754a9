"""What a ModelScope pipeline says of a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.probe.scorers import Feedback, Row, figure, text_of
from data_juicer_sandbox.errors import JobError


class PipelineJudge:
    """A pipeline, asked about single texts.

    Args:
        task: the pipeline's task.
        model: a folder with a `configuration.json`, or an id on the ModelScope hub.
        text_key: the field that holds the text.
        batch_size: texts that the pipeline is given at once.
        params: more keyword arguments for the pipeline.

    Raises:
        JobError: there is no such pipeline for that model.
    """

    def __init__(self, task: str, model: str, text_key: str, batch_size: int, params: Mapping[str, Any]):
        pipelines = imports.load("modelscope.pipelines", extra="modelscope")
        device = "gpu" if torch_env.device() == "cuda" else "cpu"
        try:
            self.pipeline = pipelines.pipeline(task, model=model, **{"device": device, **params})
        except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
            said = str(error).strip().splitlines()[0]
            hint = "ModelScope's own models want transformers below 5" if not isinstance(error, OSError) else None
            raise JobError(f"ModelScope makes no {task!r} pipeline of {model!r}: {said}", hint=hint) from error
        self.text_key, self.batch_size = text_key, batch_size

    def say(self, rows: list[Row]) -> list[Feedback]:
        """The feedback on each row."""
        texts = [text_of(row, self.text_key) for row in rows]
        said = self.pipeline(texts, batch_size=self.batch_size)
        return [feedback(one) for one in said]


def feedback(said: Mapping[str, Any]) -> Feedback:
    """What a pipeline puts out for a text, as plain values."""
    made: Feedback = {}
    for name, value in said.items():
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, str | bool):
            made[name] = value
        elif isinstance(value, int | float):
            made[name] = figure(float(value))
    labels, scores = said.get("labels"), said.get("scores")
    if labels is not None and scores is not None and len(labels) == len(scores) > 0:
        chances = {str(label): float(score) for label, score in zip(labels, scores, strict=True)}
        top = max(chances, key=chances.__getitem__)
        probabilities = {label: figure(chance) for label, chance in chances.items()}
        made |= {"prediction": top, "confidence": figure(chances[top]), "probabilities": probabilities}
    return made
