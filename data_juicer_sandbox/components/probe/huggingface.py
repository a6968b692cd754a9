"""What a model of the Hugging Face kind says of single rows."""

from __future__ import annotations

from typing import Any, Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from data_juicer_sandbox.components.base import InputPath, Model, OutputFile
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.probe.evaluator import FIELD, ModelInferEvaluator, sample_of
from data_juicer_sandbox.components.probe.models import Asking
from data_juicer_sandbox.components.probe.scorers import RowScorer


class HuggingFaceInferEvaluator(ModelInferEvaluator):
    """Ask a language model or a classifier about the rows of a data set, or of a sample of it.

    Puts out the path of the rows with their feedback, in their order, and its summary: `rows` of the data set, `probed`
    and `unscored` ones, the sum of `tokens`; for each number of the feedback `count`, `mean`, `std`, `min`, `25%`,
    `50%`, `75%`, `max`; for each text how often it is. The summary is watched too. A row stays as it is, byte for byte,
    and gets a field `__feedback__`: `row`, its number in `dataset_path` from 0, and what the model said of it:

    - a causal language model: `loss` (nats per token), `perplexity` (its exponential), `bits_per_byte` (-log2 p by the
      UTF-8 bytes of the text; Gao et al. 2020, "The Pile", section 3.1), `confidence` (mean probability of the right
      token), `tokens`. Each token is scored once, the first one given the BOS (or else EOS) token; texts longer than
      the context are read through a sliding window. A text without tokens has null.
    - a classifier: `prediction` (the most probable label), `confidence` (its probability), `probabilities` by label,
      and, with `label_key`, `loss` (-log of the right label's probability). Texts longer than the model takes are cut.
    - a regression head (one label): `score`.
    - with `score_func`, what that function says: `score`, or the numbers and texts of the mapping that it gives.

    The rows are drawn, the same for the same seed, by `data_probe_algo`:

    - `uniform`: each row is as likely as any other.
    - `frequency`: rows with the most frequent value of `frequency_key` first, then those with the next, until there
      are enough (the order of Data-Juicer's `frequency_specified_field_selector`); of the last value's rows, some at
      random.
    - `stratified`: from each stratum as many as its share of the data, at random (proportional allocation; Cochran
      1977, "Sampling Techniques", section 5.5). Strata are the values of `strata_key`; of numbers that have more than
      `strata` different values, the quantiles. Rows without it are a stratum of their own.

    Args:
        model: a model folder, or an id on the Hugging Face hub.
        dataset_path: the rows: a file (jsonl, json with a list, csv, each also .gz or .zst; parquet), a folder or a
            pattern of them. Given by the hook where the job has a recipe.
        export_path: the file (`.jsonl`) of the rows with feedback; `feedback.jsonl` in the job's folder by default.
        text_key: the field that holds the text.
        data_probe_ratio: share of the rows to ask about, in (0, 1].
        data_probe_algo: how they are drawn, see above.
        frequency_key: the field that `frequency` goes by; dots go deeper; a name that is no field is looked for in
            `__dj__stats__`.
        strata_key: the field that `stratified` goes by, likewise.
        strata: strata that numbers are cut into.
        seed: of what is drawn at random.
        task: what kind of model it is; by default its config tells.
        label_key: the field that holds the right label, by name or number, for a classifier.
        score_func: a function by its dotted path, `my_pkg.my_mod.my_score`. It is called with a list of rows, the model
            and its tokenizer, and gives a number, a mapping of numbers and texts, or None for each row.
        func_kwargs: more keyword arguments for `score_func`.
        max_tokens: tokens of each text to look at, from its start; all by default.
        block_size: tokens of a window; the model's context by default, 2048 at most then.
        stride: tokens that the window moves on by; half a window by default.
        batch_size: windows or texts that the model sees at once.
        dtype: what the weights are held in.
        threads: CPU threads; torch's choice by default.
        feedback_field: the field that the feedback is put into.
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
        func_kwargs: dict[str, Any] | None = None,
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
        self.asking = Asking(
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

    def judge(self) -> RowScorer:
        """Load the model."""
        return self.asking.judge(torch_env.transformers())
