"""Interface of the training methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from data_juicer_sandbox.types import JsonValue, LibraryObject

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer


class Method(ABC):
    """One training method.

    Attributes:
        parameters: trainer parameters that apply to this method, but not to all methods.
        defaults: defaults of parameters whose default depends on the method.
        options: more arguments of transformers' `TrainingArguments`.
    """

    parameters: ClassVar[tuple[str, ...]]
    defaults: ClassVar[Mapping[str, JsonValue]]
    options: ClassVar[Mapping[str, JsonValue]] = {}

    @abstractmethod
    def check(self, trainer: HuggingFaceTrainer) -> None:
        """Check the parameters of the method.

        Raises:
            ConfigError: a parameter is invalid.
        """

    @abstractmethod
    def block_size(self, trainer: HuggingFaceTrainer) -> int:
        """The number of tokens of a training example."""

    @abstractmethod
    def tokenizer(self, trainer: HuggingFaceTrainer, paths: list[str]) -> LibraryObject:
        """The tokenizer for the models of some data sets."""

    @abstractmethod
    def model(self, trainer: HuggingFaceTrainer, tokenizer: LibraryObject) -> LibraryObject:
        """The initial model."""
