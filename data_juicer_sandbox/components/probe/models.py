"""`ScorerSettings`: chooses and loads the row scorer of a model, by its task or architecture."""

from __future__ import annotations

from dataclasses import dataclass

from data_juicer_sandbox.components.helpers import find_helper
from data_juicer_sandbox.components.lm import loading
from data_juicer_sandbox.components.probe.causal import CausalScorer
from data_juicer_sandbox.components.probe.classifying import ClassifierScorer
from data_juicer_sandbox.components.probe.scorers import FunctionScorer, RowScorer
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import ConfigValues, LibraryObject


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
