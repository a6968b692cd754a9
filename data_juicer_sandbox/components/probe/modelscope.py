"""`ModelScopeInferEvaluator`: scores rows with a model of the ModelScope hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.packing import text_of
from data_juicer_sandbox.components.probe.hub_model import HubModelEvaluator
from data_juicer_sandbox.components.probe.scorers import Feedback, RowScorer, figure
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import ConfigValues, JsonValue, LibraryObject, Row


@dataclass(eq=False)
class ModelScopeInferEvaluator(HubModelEvaluator):
    """Score the rows of a data set, or of a sample of it, with a model of the ModelScope hub or of a local folder.

    Outputs: the path of the scored rows in their original order, and a summary: the numbers of `rows`, `probed` and
    `unscored` rows, the sum of `tokens`; for each number of the feedback `count`, `mean`, `std`, `min`, `25%`, `50%`,
    `75%`, `max`; for each text its frequency. The summary is also recorded as metrics. Each row is written unchanged,
    byte for byte, with an added field `__feedback__`: `row`, its index in `dataset_path` from 0, and the feedback:

    - of a causal language model: `loss` (nats per token), `perplexity` (its exponential), `bits_per_byte` (-log2 p per
      UTF-8 byte of the text; Gao et al. 2020, "The Pile", section 3.1), `confidence` (mean probability of the actual
      token), `tokens`. Each token is scored once, the first one after the BOS (or else EOS) token; texts longer than
      the context are scored in sliding windows. A text without tokens has null.
    - of a classifier: `prediction` (the most probable label), `confidence` (its probability), `probabilities` by label,
      and, with `label_key`, `loss` (-log of the true label's probability). Texts over the model's limit are truncated.
    - of a regression head (one label): `score`.
    - with `score_func`, the result of that function: `score`, or the numbers and texts of the mapping it returns.
    - with `pipeline`, the output of the ModelScope pipeline of that task: `prediction`, `confidence` and
      `probabilities` for `labels` with `scores`; other numbers and texts under their own names.

    `data_probe_algo` selects the rows, the same ones for the same seed:

    - `uniform`: each row is equally likely.
    - `frequency`: rows with the most frequent value of `frequency_key` first, then those with the next, until the
      sample is full (the order of Data-Juicer's `frequency_specified_field_selector`); from the last value's rows, some
      at random.
    - `stratified`: from each stratum a number of random rows in proportion to its size (proportional allocation;
      Cochran 1977, "Sampling Techniques", section 5.5). Strata are the values of `strata_key`; numbers with more than
      `strata` different values are divided at quantiles. Rows without the field form a separate stratum.

    modelscope needs a separate environment with the extra `modelscope`: it requires `datasets` below 5, and the extra
    `train` requires a later version.

    Args:
        model: a model folder, or an id on the ModelScope hub.
        pipeline: a task of ModelScope's pipelines, such as `text-classification`: this pipeline scores the rows
            instead. The model's folder must have a `configuration.json`.
        pipeline_params: more keyword arguments for the pipeline.
    """

    requires = imports.libraries("modelscope", "modelscope", "torch", "transformers")

    pipeline: str | None = None
    pipeline_params: ConfigValues | None = None

    def __post_init__(self) -> None:
        if self.pipeline is not None and (self.score_func is not None or self.task or self.label_key is not None):
            raise ConfigError("`pipeline` cannot be combined with score_func, task or label_key")
        if self.pipeline_params and self.pipeline is None:
            raise ConfigError("pipeline_params are set without pipeline")
        super().__post_init__()

    def load_scorer(self) -> RowScorer:
        """Load the model, from ModelScope's hub unless it is a local folder."""
        torch_env.transformers()
        if self.pipeline is None:
            return self.settings.load_scorer(imports.load("modelscope", extra="modelscope"))
        return PipelineScorer(
            self.pipeline,
            self.settings.model,
            self.settings.text_key,
            self.settings.batch_size,
            self.pipeline_params or {},
        )


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
