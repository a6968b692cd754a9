"""Which judge a model makes: told by its architecture, or by what is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_juicer_sandbox.components.helpers import find_helper
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.probe.causal import CausalJudge
from data_juicer_sandbox.components.probe.classifying import Classifier
from data_juicer_sandbox.components.probe.scorers import RowScorer
from data_juicer_sandbox.components.probe.scoring import ScoreJudge
from data_juicer_sandbox.errors import ConfigError


@dataclass(frozen=True)
class Asking:
    """What is asked of a model, and how.

    Args:
        model: a folder or the id of a model.
        task: `causal-lm` or `classification`; None for what its architecture says.
        text_key: the field that holds the text.
        label_key: the field with the right label, for a classifier's loss.
        score_func: the dotted path of a function that makes the feedback.
        func_kwargs: keyword arguments for every call of it.
        max_tokens: tokens of each text to look at.
        block_size: tokens of a window.
        stride: tokens that a window moves on by.
        batch_size: windows or texts in a batch.
        dtype: what the weights are held in.

    Raises:
        ConfigError: these contradict each other.
    """

    model: str
    task: str | None
    text_key: str
    label_key: str | None
    score_func: str | None
    func_kwargs: dict[str, Any] | None
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
            raise ConfigError("func_kwargs are given, and no score_func")

    def judge(self, library: Any) -> RowScorer:
        """Load the model and make its judge.

        Args:
            library: where the Auto classes are: transformers, or modelscope, which looks on a hub of its own.
        """
        causal = self.task == "causal-lm" or (self.task is None and not self._classifies(library))
        kind = library.AutoModelForCausalLM if causal else library.AutoModelForSequenceClassification
        function = None if self.score_func is None else find_helper(self.score_func, self.func_kwargs)
        tokenizer = torch_env.load(library.AutoTokenizer, self.model)
        model = torch_env.load(kind, self.model, dtype=getattr(torch_env.torch(), self.dtype))
        model = model.to(torch_env.device()).eval()
        if function is not None:
            return ScoreJudge(function, str(self.score_func), model, tokenizer)
        options: dict[str, Any] = {
            "text_key": self.text_key,
            "max_tokens": self.max_tokens,
            "batch_size": self.batch_size,
        }
        if not causal:
            return Classifier(model, tokenizer, label_key=self.label_key, **options)
        return CausalJudge(model, tokenizer, block_size=self.block_size, stride=self.stride, **options)

    def _classifies(self, library: Any) -> bool:
        config = torch_env.load(library.AutoConfig, self.model)
        return any("SequenceClassification" in name for name in config.architectures or ())
