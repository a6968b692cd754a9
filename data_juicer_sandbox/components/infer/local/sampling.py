"""How a model of one's own answers: the `sampling_params` of a config, read once for all libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xxhash

from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import shown

LONGEST = 256
"""Tokens of an answer at most, where a config does not say."""
SEED = 42
_LENGTHS = ("max_tokens", "max_new_tokens", "max_completion_tokens")
SHAPES = ("temperature", "top_p", "top_k", "min_p")
"""What shapes the distribution that tokens are drawn from."""


@dataclass(frozen=True)
class Sampling:
    """How answers are made.

    Args:
        tokens: of an answer, at most.
        samples: answers to a question.
        draws: whether tokens are drawn; if not, each is the most probable one.
        seed: of what is drawn.
        stop: texts that end an answer; they are no part of it.
        shape: parameters of the distribution, as given.
        others: all else, under the library's own names.
    """

    tokens: int = LONGEST
    samples: int = 1
    draws: bool = False
    seed: int = SEED
    stop: tuple[str, ...] = ()
    shape: dict[str, float] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Sampling:
        """Read `sampling_params`.

        Raises:
            ConfigError: they contradict each other, or are out of range.
        """
        given = {key: value for key, value in params.items() if value is not None}
        lengths = [key for key in _LENGTHS if key in given]
        if len(lengths) > 1:
            raise ConfigError(f"sampling_params: {' and '.join(lengths)} are the same", hint="one is enough")
        tokens = _whole(given, lengths[0], 1) if lengths else LONGEST
        samples, seed = _whole(given, "n", 1, 1), _whole(given, "seed", 0, SEED)
        shape = {key: _number(given, key) for key in SHAPES if key in given}
        stop = given.pop("stop", ())
        draws = bool(given.pop("do_sample", (shape.get("temperature", 1) > 0 and bool(shape)) or samples > 1))
        if draws and shape.get("temperature") == 0:
            raise ConfigError("sampling_params: at temperature 0 there is nothing to draw", hint="do_sample: false")
        if samples > 1 and not draws:
            raise ConfigError(f"sampling_params: {samples} samples that are not drawn would all be alike", hint="n: 1")
        texts = (stop,) if isinstance(stop, str) else tuple(stop)
        if not all(isinstance(text, str) and text for text in texts):
            raise ConfigError(f"sampling_params.stop: {shown(stop, 80)} is no text, and no list of texts")
        others = {key: value for key, value in given.items() if key not in (*lengths, *SHAPES, "n", "seed")}
        return cls(tokens, samples, draws, seed, texts, shape if draws else {}, others)

    def seed_of(self, number: int, sample: int = 0) -> int:
        """A seed for one row and sample, 63 bits: what a row is answered does not depend on its neighbours."""
        return xxhash.xxh3_64_intdigest(f"{self.seed} {number} {sample}".encode()) >> 1

    def cut(self, text: str) -> tuple[str, bool]:
        """The text before the first of the `stop` texts, and whether there was one."""
        end = min((place for one in self.stop if (place := text.find(one)) >= 0), default=-1)
        return (text, False) if end < 0 else (text[:end], True)


def _number(given: Mapping[str, Any], key: str) -> float:
    value = given[key]
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if good and key == "top_k":
        good = value >= 1 and value == int(value)
    elif good and key == "top_p":
        good = 0 < value <= 1
    elif good:
        good = value >= 0 and (value <= 1 or key != "min_p")
    if not good:
        raise ConfigError(f"sampling_params.{key}: {shown(value, key=key)} is out of range")
    return int(value) if key == "top_k" else float(value)


def _whole(given: Mapping[str, Any], key: str, least: int, default: int | None = None) -> int:
    value = given.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"sampling_params.{key}: {shown(value, key=key)} is no whole number from {least} on")
    return value
