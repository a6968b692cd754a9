"""What a parameter of a search may be: every distribution of a W&B sweep, read from its file.

Source: Weights & Biases, "Sweep configuration options" (names, keys, defaults and meaning of the distributions).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.secrets import shown

Fault = Callable[..., None]
"""Told of a fault: what, the way to it, a hint."""


@dataclass(frozen=True)
class Choice:
    """One of some values; a constant where there is just one.

    Args:
        values: what may come, each a scalar, list or mapping.
        probabilities: how likely each is; None for all the same.
    """

    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    def examples(self) -> tuple[Any, ...]:
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

    def examples(self) -> tuple[Any, ...]:
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

    def examples(self) -> tuple[Any, ...]:
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
        distribution: what it may be.
        path: where it stands in the file.
    """

    name: str
    distribution: Distribution
    path: KeyPath


def nearest(value: float, step: float) -> float:
    """The multiple of a step that is nearest; a whole number where the step is one."""
    steps = round(value / step)
    return steps * step if isinstance(step, int) else float(f"{steps * step:.12g}")


def read_parameters(given: Any, path: KeyPath, fault: Fault, prefix: str = "") -> Iterator[Parameter]:
    """The parameters of a sweep; those of a nested `parameters` are named with dots."""
    if not isinstance(given, Mapping) or not given:
        fault("`parameters` must map names to what they may be", path)
        return
    for key, spec in given.items():
        name, way = f"{prefix}{key}", (*path, key)
        if not isinstance(spec, Mapping):
            fault(
                f"parameter {name!r} must be a mapping, not {shown(spec, 40, name)}",
                way,
                f"{{value: {shown(spec, 40, name)}}}",
            )
        elif "parameters" in spec:
            if set(spec) != {"parameters"}:
                fault(f"parameter {name!r} has `parameters` and other keys", way)
            yield from read_parameters(spec["parameters"], (*way, "parameters"), fault, f"{name}.")
        else:
            try:
                found = _distribution(name, dict(spec), way, fault)
                if found is not None:
                    found.examples()
            except OverflowError:  # an exponent, a quotient by a tiny `q`, or an integer of 400 digits
                fault(f"parameter {name!r}: its numbers are too large for a float", way)
                continue
            if found is not None:
                yield Parameter(name, found, way)


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


def _distribution(name: str, spec: dict[str, Any], path: KeyPath, fault: Fault) -> Distribution | None:
    kind = spec.pop("distribution", None) or _guess(spec)
    if not isinstance(kind, str) or kind not in SHAPES:
        if kind is None:
            fault(f"parameter {name!r} says nothing of what it may be", path, "value, values, or min and max")
        else:
            fault(f"parameter {name!r}: unknown distribution {kind!r}", path, suggest(str(kind), SHAPES))
        return None
    needed, optional = SHAPES[kind]
    for key in spec:
        if key not in needed | optional:
            hint = suggest(str(key), needed | optional)
            fault(f"parameter {name!r}: a {kind} distribution has no {key!r}", (*path, key), hint)
            return None
    missing = sorted(needed - set(spec))
    if missing:
        fault(f"parameter {name!r}: a {kind} distribution needs {' and '.join(missing)}", path)
        return None
    if "value" in needed:
        return Choice((spec["value"],))
    if "values" in needed:
        return _choice(name, spec, path, fault)
    for key, value in spec.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            fault(f"parameter {name!r}: {key!r} must be a number, not {shown(value, 40, name)}", (*path, key))
            return None
    for key in ("q", "sigma"):
        if spec.get(key, 1) <= 0:
            fault(f"parameter {name!r}: {key!r} must be more than 0", (*path, key))
            return None
    step = spec.get("q", 1) if kind.startswith("q_") else None
    if "min" not in needed:
        return Normal(float(spec.get("mu", 0)), float(spec.get("sigma", 1)), "log" in kind, step)
    return _range(name, kind, spec["min"], spec["max"], step, path, fault)


def _guess(spec: Mapping[str, Any]) -> str | None:
    """The distribution that W&B takes where none is named."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    if "min" in spec and "max" in spec:
        whole = all(isinstance(spec[key], int) and not isinstance(spec[key], bool) for key in ("min", "max"))
        return "int_uniform" if whole and "q" not in spec else "q_uniform" if "q" in spec else "uniform"
    return "normal" if "mu" in spec or "sigma" in spec else None


def _choice(name: str, spec: Mapping[str, Any], path: KeyPath, fault: Fault) -> Choice | None:
    values, probabilities = spec["values"], spec.get("probabilities")
    if not isinstance(values, list) or not values:
        fault(f"parameter {name!r}: `values` must be a list that is not empty", (*path, "values"))
        return None
    if any(value in values[:index] and _same_kind(value, values[:index]) for index, value in enumerate(values)):
        fault(f"parameter {name!r}: a value stands twice in `values`", (*path, "values"))
        return None
    if probabilities is None:
        return Choice(tuple(values))
    good = (
        isinstance(probabilities, list)
        and len(probabilities) == len(values)
        and all(isinstance(one, int | float) and not isinstance(one, bool) and one >= 0 for one in probabilities)
    )
    if not good or abs(sum(probabilities) - 1) > 1e-6:
        what = f"parameter {name!r}: `probabilities` must be {len(values)} numbers from 0 to 1 that sum to 1"
        fault(what, (*path, "probabilities"))
        return None
    return Choice(tuple(values), tuple(map(float, probabilities)))


def _same_kind(value: Any, others: list[Any]) -> bool:
    """`1` and `True` are equal to Python, and two values to us."""
    return any(other == value and type(other) is type(value) for other in others)


def _range(
    name: str, kind: str, low: float, high: float, step: float | None, path: KeyPath, fault: Fault
) -> Range | None:
    if low >= high:
        fault(f"parameter {name!r}: `min` {low} is not below `max` {high}", (*path, "min"))
        return None
    if kind == "int_uniform":
        if not (isinstance(low, int) and isinstance(high, int)):
            fault(f"parameter {name!r}: `min` and `max` of int_uniform are whole numbers", (*path, "min"))
            return None
        return Range(low, high, 1)
    if kind == "uniform":
        return Range(float(low), float(high))
    if kind == "q_uniform":  # the values that rounding to a multiple of q gives
        return Range(nearest(low, step or 1), nearest(high, step or 1), step)
    if kind.endswith("_values"):
        if low <= 0:
            fault(f"parameter {name!r}: `min` of {kind} must be more than 0", (*path, "min"))
            return None
        return Range(float(low), float(high), log=True, rounded=step)
    try:  # min and max are exponents; the inverse has the logarithm of 1/x evenly likely
        ends = (math.exp(-high), math.exp(-low)) if kind.startswith("inv_") else (math.exp(low), math.exp(high))
    except OverflowError:
        ends = (0.0, 0.0)
    if not 0 < ends[0] < ends[1]:
        fault(
            f"parameter {name!r}: e to the power of {low} to {high} is too much", path, f"{kind}_values: plain numbers"
        )
        return None
    return Range(*ends, log=True, rounded=step)
