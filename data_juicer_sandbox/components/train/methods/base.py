"""What tells the methods of training on text apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer


class Method(ABC):
    """One method.

    Attributes:
        parameters: of the trainer's parameters, those that this method has and not every other.
        defaults: of parameters whose default differs by method.
        options: more arguments of transformers' `TrainingArguments`.
    """

    parameters: ClassVar[tuple[str, ...]]
    defaults: ClassVar[Mapping[str, Any]]
    options: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def check(self, given: HuggingFaceTrainer) -> None:
        """Find what is wrong with its parameters.

        Raises:
            ConfigError: something is.
        """

    @abstractmethod
    def block_size(self, given: HuggingFaceTrainer) -> int:
        """Tokens of a training example."""

    @abstractmethod
    def tokenizer(self, given: HuggingFaceTrainer, path: str) -> Any:
        """The tokenizer for the models of a data set."""

    @abstractmethod
    def model(self, given: HuggingFaceTrainer, tokenizer: Any) -> Any:
        """The model to be trained, in its first state."""
