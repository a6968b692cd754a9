"""`HuggingFaceInferEvaluator`: scores rows with a Hugging Face model."""

from __future__ import annotations

from typing import Literal

from data_juicer_sandbox.components.base import InputPath, Model, OutputFile
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.probe.evaluator import FIELD, ModelInferEvaluator, sample_of
from data_juicer_sandbox.components.probe.models import ScorerSettings
from data_juicer_sandbox.components.probe.scorers import RowScorer
from data_juicer_sandbox.types import ConfigValues


class HuggingFaceInferEvaluator(ModelInferEvaluator):
    """Score the rows of a data set, or of a sample of it, with a language model or a classifier.

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

    `data_probe_algo` selects the rows, the same ones for the same seed:

    - `uniform`: each row is equally likely.
    - `frequency`: rows with the most frequent value of `frequency_key` first, then those with the next, until the
      sample is full (the order of Data-Juicer's `frequency_specified_field_selector`); from the last value's rows, some
      at random.
    - `stratified`: from each stratum a number of random rows in proportion to its size (proportional allocation;
      Cochran 1977, "Sampling Techniques", section 5.5). Strata are the values of `strata_key`; numbers with more than
      `strata` different values are divided at quantiles. Rows without the field form a separate stratum.

    Args:
        model: a model folder, or an id on the Hugging Face hub.
        dataset_path: the data set: a file (jsonl, json with a list, csv, each also .gz or .zst; parquet), a folder or a
            pattern of them. The hook sets it if the job has a recipe.
        export_path: the output file (`.jsonl`); `feedback.jsonl` in the job's folder by default.
        text_key: the field of the text.
        data_probe_ratio: fraction of the rows to score, in (0, 1].
        data_probe_algo: the sampling method, see above.
        frequency_key: the field for `frequency`; dots separate nested keys. If a row has no such field, `__dj__stats__`
            is used.
        strata_key: the field for `stratified`, likewise.
        strata: number of strata for numbers.
        seed: seed of the random draws.
        task: the type of the model; by default the one in its config.
        label_key: the field of the true label, by name or number, for a classifier.
        score_func: the dotted path of a function, `my_pkg.my_mod.my_score`. It is called with a list of rows, the model
            and its tokenizer, and returns a number, a mapping of numbers and texts, or None for each row.
        func_kwargs: more keyword arguments for `score_func`.
        max_tokens: number of tokens of each text to score, from its start; all by default.
        block_size: tokens of a window; by default the model's context, at most 2048.
        stride: step of the window in tokens; half a window by default.
        batch_size: windows or texts in a batch.
        dtype: data type of the weights.
        threads: CPU threads; torch's default if not set.
        feedback_field: the name of the field for the feedback.
    """

    def __init__(
        self,
        model: Model,
        dataset_path: InputPath,
        export_path: OutputFile | None = None,
        text_key: str = "text",
        data_probe_ratio: float = 1.0,
        data_probe_algo: Literal["uniform", "frequency", "stratified"] = "uniform",
        frequency_key: str | None = None,
        strata_key: str | None = None,
        strata: PositiveInt = 10,
        seed: NonNegativeInt = 42,
        task: Literal["causal-lm", "classification"] | None = None,
        label_key: str | None = None,
        score_func: str | None = None,
        func_kwargs: ConfigValues | None = None,
        max_tokens: PositiveInt | None = None,
        block_size: PositiveInt | None = None,
        stride: PositiveInt | None = None,
        batch_size: PositiveInt = 16,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        threads: PositiveInt | None = None,
        feedback_field: str = FIELD,
    ):
        sample = sample_of(data_probe_ratio, data_probe_algo, frequency_key, strata_key, strata, seed)
        super().__init__(dataset_path, export_path, feedback_field, sample, batch_size, threads)
        self.settings = ScorerSettings(
            model=model,
            task=task,
            text_key=text_key,
            label_key=label_key,
            score_func=score_func,
            func_kwargs=func_kwargs,
            max_tokens=max_tokens,
            block_size=block_size,
            stride=stride,
            batch_size=batch_size,
            dtype=dtype,
        )

    def load_scorer(self) -> RowScorer:
        """Load the model."""
        return self.settings.load_scorer(torch_env.transformers())
