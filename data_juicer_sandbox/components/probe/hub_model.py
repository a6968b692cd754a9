"""Components that score rows with a model of a hub: their parameters, and the choice of the row scorer.

The annotations are evaluated here (no `from __future__ import annotations`): a subclass's constructor would otherwise
look up their names in the subclass's module.
"""

from dataclasses import dataclass
from typing import Literal

from data_juicer_sandbox.components.base import InputPath, Model, OutputFile
from data_juicer_sandbox.components.helpers import find_helper
from data_juicer_sandbox.components.lm import loading
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.probe.causal import CausalScorer
from data_juicer_sandbox.components.probe.classifying import ClassifierScorer
from data_juicer_sandbox.components.probe.evaluator import FIELD, ModelInferEvaluator, sample_of
from data_juicer_sandbox.components.probe.scorers import FunctionScorer, RowScorer
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import ConfigValues, LibraryObject


@dataclass(eq=False)
class HubModelEvaluator(ModelInferEvaluator):
    """Base of the components that score rows with a model of a hub or of a local folder.

    Args:
        model: a model folder, or an id on the hub.
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
        skip_bad_rows: number of rows that may be invalid (no JSON object, or no text); they are counted, named in the
            log and skipped. They have no number: `row` counts the others.
        threads: CPU threads; torch's default if not set.
        feedback_field: the name of the field for the feedback.
    """

    model: Model
    dataset_path: InputPath
    export_path: OutputFile | None = None
    text_key: str = "text"
    data_probe_ratio: float = 1.0
    data_probe_algo: Literal["uniform", "frequency", "stratified"] = "uniform"
    frequency_key: str | None = None
    strata_key: str | None = None
    strata: PositiveInt = 10
    seed: NonNegativeInt = 42
    task: Literal["causal-lm", "classification"] | None = None
    label_key: str | None = None
    score_func: str | None = None
    func_kwargs: ConfigValues | None = None
    max_tokens: PositiveInt | None = None
    block_size: PositiveInt | None = None
    stride: PositiveInt | None = None
    batch_size: PositiveInt = 16
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    skip_bad_rows: NonNegativeInt = 0
    threads: PositiveInt | None = None
    feedback_field: str = FIELD

    def __post_init__(self) -> None:
        sample = sample_of(
            self.data_probe_ratio, self.data_probe_algo, self.frequency_key, self.strata_key, self.strata, self.seed
        )
        super().__init__(
            self.dataset_path,
            self.export_path,
            self.feedback_field,
            sample,
            self.batch_size,
            self.threads,
            self.skip_bad_rows,
        )
        self.settings = ScorerSettings(
            model=self.model,
            task=self.task,
            text_key=self.text_key,
            label_key=self.label_key,
            score_func=self.score_func,
            func_kwargs=self.func_kwargs,
            max_tokens=self.max_tokens,
            block_size=self.block_size,
            stride=self.stride,
            batch_size=self.batch_size,
            dtype=self.dtype,
        )


@dataclass(frozen=True)
class ScorerSettings:
    """The settings of a row scorer.

    Args:
        model: a folder or the id of a model.
        task: `causal-lm` or `classification`; None to use its architecture.
        text_key: the field of the text.
        label_key: the field of the true label, for a classifier's loss.
        score_func: the dotted path of a function that computes the feedback.
        func_kwargs: keyword arguments for every call of it.
        max_tokens: maximum number of tokens of each text.
        block_size: tokens of a window.
        stride: step of the window in tokens.
        batch_size: windows or texts in a batch.
        dtype: data type of the weights.

    Raises:
        ConfigError: the settings contradict each other.
    """

    model: str
    task: str | None
    text_key: str
    label_key: str | None
    score_func: str | None
    func_kwargs: ConfigValues | None
    max_tokens: int | None
    block_size: int | None
    stride: int | None
    batch_size: int
    dtype: str

    def __post_init__(self) -> None:
        if self.block_size is not None and self.block_size < 2:
            raise ConfigError("block_size 1 leaves no token to predict", hint="2 or more")
        if self.block_size is not None and self.stride is not None and self.stride >= self.block_size:
            raise ConfigError(f"stride {self.stride} is not below block_size {self.block_size}")
        if self.func_kwargs and self.score_func is None:
            raise ConfigError("func_kwargs are set without score_func")

    def load_scorer(self, library: LibraryObject) -> RowScorer:
        """Load the model and create its scorer.

        Args:
            library: provides the Auto classes: transformers, or modelscope, which uses the ModelScope hub.
        """
        causal = self.task == "causal-lm" or (self.task is None and not self._classifies(library))
        model_class = library.AutoModelForCausalLM if causal else library.AutoModelForSequenceClassification
        function = None if self.score_func is None else find_helper(self.score_func, self.func_kwargs)
        tokenizer = loading.load_plain_tokenizer(library, self.model)
        model = loading.load_model(model_class, self.model, self.dtype)
        if function is not None:
            return FunctionScorer(function, str(self.score_func), model, tokenizer)
        options: ConfigValues = {
            "text_key": self.text_key,
            "max_tokens": self.max_tokens,
            "batch_size": self.batch_size,
        }
        if not causal:
            return ClassifierScorer(model, tokenizer, label_key=self.label_key, **options)
        return CausalScorer(model, tokenizer, block_size=self.block_size, stride=self.stride, **options)

    def _classifies(self, library: LibraryObject) -> bool:
        config = loading.load(library.AutoConfig, self.model)
        return any("SequenceClassification" in name for name in config.architectures or ())
