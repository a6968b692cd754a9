"""The distributions of search parameters: all of a W&B sweep file.

Source: Weights & Biases, "Sweep configuration options" (names, keys, defaults and meaning of the distributions).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import ConfigValues, JsonValue

AddProblem = Callable[..., None]
"""Records a problem: the message, the path of the key, a hint."""


@dataclass(frozen=True)
class Choice:
    """One of some values; a constant where there is just one.

    Args:
        values: what may come, each a scalar, list or mapping.
        probabilities: how likely each is; None for all the same.
    """

    values: tuple[JsonValue, ...]
    probabilities: tuple[float, ...] | None = None

    def examples(self) -> tuple[object, ...]:
        """Values to check a target with."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A number between two, both included.

    Args:
        low: the least.
        high: the greatest.
        step: how far one possible value is from the next; None for any.
        log: the logarithm is evenly likely, not the number.
        rounded: what the drawn number is rounded to a multiple of.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    rounded: float | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers come."""
        return isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step, int)

    def examples(self) -> tuple[object, ...]:
        """Values to check a target with."""
        ends = (self.low, self.high)
        return ends if self.rounded is None else tuple(nearest(end, self.rounded) for end in ends)


@dataclass(frozen=True)
class Normal:
    """A number around a mean.

    Args:
        mu: the mean (of the logarithm, with `log`).
        sigma: the standard deviation, likewise.
        log: log-normal.
        rounded: what it is rounded to a multiple of.
    """

    mu: float = 0.0
    sigma: float = 1.0
    log: bool = False
    rounded: float | None = None

    def examples(self) -> tuple[object, ...]:
        """Values to check a target with."""
        return (self.finish(self.mu),)

    def finish(self, value: float) -> float:
        """The value that a normal draw stands for."""
        value = math.exp(value) if self.log else value
        return value if self.rounded is None else nearest(value, self.rounded)


Distribution = Choice | Range | Normal


@dataclass(frozen=True)
class Parameter:
    """One parameter of a search.

    Args:
        name: what it sets: `<pipeline>.<meta_name>.<dj_configs|extra_configs>.<path>`, or `<op_name>.<arg>`.
        distribution: its possible values.
        path: its path in the file.
    """

    name: str
    distribution: Distribution
    path: KeyPath


def nearest(value: float, step: float) -> float:
    """The multiple of a step that is nearest; a whole number where the step is one."""
    steps = round(value / step)
    return steps * step if isinstance(step, int) else float(f"{steps * step:.12g}")


def read_parameters(specs: object, path: KeyPath, add_problem: AddProblem, prefix: str = "") -> Iterator[Parameter]:
    """The parameters of a sweep; those of a nested `parameters` are named with dots."""
    if not isinstance(specs, Mapping) or not specs:
        add_problem("`parameters` must be a mapping of names to distributions", path)
        return
    for key, spec in specs.items():
        name, key_path = f"{prefix}{key}", (*path, key)
        if not isinstance(spec, Mapping):
            add_problem(
                f"parameter {name!r} must be a mapping, not {shown(spec, 40, name)}",
                key_path,
                f"{{value: {shown(spec, 40, name)}}}",
            )
        elif "parameters" in spec:
            if set(spec) != {"parameters"}:
                add_problem(f"parameter {name!r} has `parameters` and other keys", key_path)
            yield from read_parameters(spec["parameters"], (*key_path, "parameters"), add_problem, f"{name}.")
        else:
            try:
                distribution = _distribution(name, dict(spec), key_path, add_problem)
                if distribution is not None:
                    distribution.examples()
            except OverflowError:  # an exponent, a quotient by a tiny `q`, or an integer of 400 digits
                add_problem(f"parameter {name!r}: its numbers are too large for a float", key_path)
                continue
            if distribution is not None:
                yield Parameter(name, distribution, key_path)


SHAPES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "constant": (frozenset({"value"}), frozenset()),
    "categorical": (frozenset({"values"}), frozenset({"probabilities"})),
    "categorical_w_probabilities": (frozenset({"values", "probabilities"}), frozenset()),
    **{
        name: (frozenset({"min", "max"}), frozenset())
        for name in (
            "int_uniform", "uniform", "log_uniform", "log_uniform_values", "inv_log_uniform", "inv_log_uniform_values",
        )
    },
    **{
        name: (frozenset({"min", "max"}), frozenset({"q"}))
        for name in ("q_uniform", "q_log_uniform", "q_log_uniform_values")
    },
    **{name: (frozenset[str](), frozenset({"mu", "sigma"})) for name in ("normal", "log_normal")},
    **{name: (frozenset[str](), frozenset({"mu", "sigma", "q"})) for name in ("q_normal", "q_log_normal")},
}  # fmt: skip
"""Distributions by name: the keys each needs, and those it may have."""


def _distribution(name: str, spec: ConfigValues, path: KeyPath, add_problem: AddProblem) -> Distribution | None:
    distribution = spec.pop("distribution", None) or _guess(spec)
    if not isinstance(distribution, str) or distribution not in SHAPES:
        if distribution is None:
            add_problem(f"parameter {name!r} has no distribution", path, "value, values, or min and max")
        else:
            add_problem(
                f"parameter {name!r}: unknown distribution {distribution!r}", path, suggest(str(distribution), SHAPES)
            )
        return None
    needed, optional = SHAPES[distribution]
    for key in spec:
        if key not in needed | optional:
            hint = suggest(str(key), needed | optional)
            add_problem(f"parameter {name!r}: a {distribution} distribution has no {key!r}", (*path, key), hint)
            return None
    missing = sorted(needed - set(spec))
    if missing:
        add_problem(f"parameter {name!r}: a {distribution} distribution needs {' and '.join(missing)}", path)
        return None
    if "value" in needed:
        return Choice((spec["value"],))
    if "values" in needed:
        return _choice(name, spec, path, add_problem)
    for key, value in spec.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            add_problem(f"parameter {name!r}: {key!r} must be a number, not {shown(value, 40, name)}", (*path, key))
            return None
    for key in ("q", "sigma"):
        if spec.get(key, 1) <= 0:
            add_problem(f"parameter {name!r}: {key!r} must be more than 0", (*path, key))
            return None
    step = spec.get("q", 1) if distribution.startswith("q_") else None
    if "min" not in needed:
        return Normal(float(spec.get("mu", 0)), float(spec.get("sigma", 1)), "log" in distribution, step)
    return _range(name, distribution, spec["min"], spec["max"], step, path, add_problem)


def _guess(spec: Mapping[str, object]) -> str | None:
    """The distribution that W&B takes where none is named."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    if "min" in spec and "max" in spec:
        whole = all(isinstance(spec[key], int) and not isinstance(spec[key], bool) for key in ("min", "max"))
        return "int_uniform" if whole and "q" not in spec else "q_uniform" if "q" in spec else "uniform"
    return "normal" if "mu" in spec or "sigma" in spec else None


def _choice(name: str, spec: ConfigValues, path: KeyPath, add_problem: AddProblem) -> Choice | None:
    values, probabilities = spec["values"], spec.get("probabilities")
    if not isinstance(values, list) or not values:
        add_problem(f"parameter {name!r}: `values` must be a list that is not empty", (*path, "values"))
        return None
    texts = [value_text(value) for value in values]
    if len(set(texts)) < len(texts):
        add_problem(f"parameter {name!r}: `values` contains a value twice", (*path, "values"))
        return None
    if probabilities is None:
        return Choice(tuple(values))
    good = (
        isinstance(probabilities, list)
        and len(probabilities) == len(values)
        and all(
            isinstance(probability, int | float) and not isinstance(probability, bool) and probability >= 0
            for probability in probabilities
        )
    )
    if not good or abs(sum(probabilities) - 1) > 1e-6:
        what = f"parameter {name!r}: `probabilities` must be {len(values)} numbers from 0 to 1 that sum to 1"
        add_problem(what, (*path, "probabilities"))
        return None
    return Choice(tuple(values), tuple(map(float, probabilities)))


def value_text(value: JsonValue) -> str:
    """The JSON text of a value. Unlike Python's `==` it tells `1`, `1.0` and `true` apart."""
    return json.dumps(value, sort_keys=True, default=str)


def _range(
    name: str, distribution: str, low: float, high: float, step: float | None, path: KeyPath, add_problem: AddProblem
) -> Range | None:
    if low >= high:
        add_problem(f"parameter {name!r}: `min` {low} is not below `max` {high}", (*path, "min"))
        return None
    if distribution == "int_uniform":
        if not (isinstance(low, int) and isinstance(high, int)):
            add_problem(f"parameter {name!r}: `min` and `max` of int_uniform are whole numbers", (*path, "min"))
            return None
        return Range(low, high, 1)
    if distribution == "uniform":
        return Range(float(low), float(high))
    if distribution == "q_uniform":  # the values that rounding to a multiple of q gives
        return Range(nearest(low, step or 1), nearest(high, step or 1), step)
    if distribution.endswith("_values"):
        if low <= 0:
            add_problem(f"parameter {name!r}: `min` of {distribution} must be more than 0", (*path, "min"))
            return None
        return Range(float(low), float(high), log=True, rounded=step)
    try:  # min and max are exponents; the inverse has the logarithm of 1/x evenly likely
        ends = (math.exp(-high), math.exp(-low)) if distribution.startswith("inv_") else (math.exp(low), math.exp(high))
    except OverflowError:
        ends = (0.0, 0.0)
    if not 0 < ends[0] < ends[1]:
        add_problem(
            f"parameter {name!r}: e to the power of {low} to {high} is too much",
            path,
            f"{distribution}_values: plain numbers",
        )
        return None
    return Range(*ends, log=True, rounded=step)
