"""Sampling parameters of local models: `sampling_params` of a config, parsed for all libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import xxhash

from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import ConfigValues, JsonValue

DEFAULT_TOKENS = 256
"""Default maximum tokens of an answer."""
SEED = 42
_LENGTHS = ("max_tokens", "max_new_tokens", "max_completion_tokens")
SHAPES = ("temperature", "top_p", "top_k", "min_p")
"""Parameters of the distribution from which tokens are sampled."""


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters.

    Args:
        tokens: maximum tokens of an answer.
        samples: answers per request.
        draws: whether tokens are sampled; if not, decoding is greedy.
        seed: seed of the sampling.
        stop: texts that end an answer; they are not part of it.
        shape: parameters of the distribution.
        others: all other parameters, by the library's names.
    """

    tokens: int = DEFAULT_TOKENS
    samples: int = 1
    draws: bool = False
    seed: int = SEED
    stop: tuple[str, ...] = ()
    shape: dict[str, float] = field(default_factory=dict)
    others: ConfigValues = field(default_factory=dict)

    @classmethod
    def of(cls, params: Mapping[str, JsonValue]) -> Sampling:
        """Parse `sampling_params`.

        Raises:
            ConfigError: parameters contradict each other, or are out of range.
        """
        set_params = {key: value for key, value in params.items() if value is not None}
        lengths = [key for key in _LENGTHS if key in set_params]
        if len(lengths) > 1:
            raise ConfigError(f"sampling_params: {' and '.join(lengths)} are the same", hint="one is enough")
        tokens = _whole(set_params, lengths[0], 1) if lengths else DEFAULT_TOKENS
        samples, seed = _whole(set_params, "n", 1, 1), _whole(set_params, "seed", 0, SEED)
        shape = {key: _number(set_params, key) for key in SHAPES if key in set_params}
        stop = set_params.pop("stop", ())
        draws = bool(set_params.pop("do_sample", (shape.get("temperature", 1) > 0 and bool(shape)) or samples > 1))
        if draws and shape.get("temperature") == 0:
            raise ConfigError("sampling_params: temperature 0 does not allow sampling", hint="do_sample: false")
        if samples > 1 and not draws:
            raise ConfigError(f"sampling_params: greedy decoding would give {samples} equal samples", hint="n: 1")
        texts = (stop,) if isinstance(stop, str) else tuple(stop)
        if not all(isinstance(text, str) and text for text in texts):
            raise ConfigError(f"sampling_params.stop: expected a text or a list of texts, got {shown(stop, 80)}")
        others = {key: value for key, value in set_params.items() if key not in (*lengths, *SHAPES, "n", "seed")}
        return cls(tokens, samples, draws, seed, texts, shape if draws else {}, others)

    def seed_of(self, number: int, sample: int = 0) -> int:
        """A 63-bit seed for one row and sample, so that answers do not depend on other rows."""
        return xxhash.xxh3_64_intdigest(f"{self.seed} {number} {sample}".encode()) >> 1

    def cut(self, text: str) -> tuple[str, bool]:
        """The text before the first `stop` text, and whether it has one."""
        end = min((position for stop_text in self.stop if (position := text.find(stop_text)) >= 0), default=-1)
        return (text, False) if end < 0 else (text[:end], True)


def _number(params: Mapping[str, JsonValue], key: str) -> float:
    value = params[key]
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    if valid and key == "top_k":
        valid = value >= 1 and value == int(value)
    elif valid and key == "top_p":
        valid = 0 < value <= 1
    elif valid:
        valid = value >= 0 and (value <= 1 or key != "min_p")
    if not valid:
        raise ConfigError(f"sampling_params.{key}: {shown(value, key=key)} is out of range")
    return int(value) if key == "top_k" else float(value)


def _whole(params: Mapping[str, JsonValue], key: str, least: int, default: int | None = None) -> int:
    value = params.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(
            f"sampling_params.{key}: expected an integer of at least {least}, got {shown(value, key=key)}"
        )
    return value
