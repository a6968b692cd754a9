"""Draw parameter values with Optuna.

Optuna lacks some distributions. A normal and a choice with probabilities are drawn as a quantile, a rounded number as
an unrounded one; the value is computed from it. Such a draw is stored as `<name> (drawn)`, so that nobody takes it for
the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import accumulate
from statistics import NormalDist
from typing import TYPE_CHECKING

from data_juicer_sandbox.config.distributions import Choice, Distribution, Normal, Parameter, Range, nearest
from data_juicer_sandbox.types import JsonValue

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

DRAWN = " (drawn)"
_TAIL = 1e-9
"""Smallest distance of a quantile from 0 and 1: the quantile function of a normal is infinite there."""


def draw(trial: BaseTrial, parameters: Iterable[Parameter]) -> dict[str, JsonValue]:
    """The values of a trial's parameters, by name.

    Args:
        trial: an `optuna.Trial`; it returns the same values for names it has drawn before, as after a crash.
        parameters: the search space.
    """
    return {parameter.name: _value(trial, parameter.name, parameter.distribution) for parameter in parameters}


def _value(trial: BaseTrial, name: str, distribution: Distribution) -> JsonValue:
    if isinstance(distribution, Choice):
        if len(distribution.values) == 1:
            return distribution.values[0]
        if distribution.probabilities is None:
            return _choices(distribution)[trial.suggest_categorical(name, list(_choices(distribution)))]
        quantile = trial.suggest_float(name + DRAWN, 0.0, 1.0)
        bounds = list(accumulate(distribution.probabilities))
        possible_indices = [index for index, probability in enumerate(distribution.probabilities) if probability > 0]
        drawn_index = next((index for index in possible_indices if quantile < bounds[index]), possible_indices[-1])
        return distribution.values[drawn_index]
    if isinstance(distribution, Normal):
        quantile = trial.suggest_float(name + DRAWN, _TAIL, 1 - _TAIL)
        return distribution.finish(NormalDist(distribution.mu, distribution.sigma).inv_cdf(quantile))
    if distribution.whole and not distribution.log:
        return trial.suggest_int(name, int(distribution.low), int(distribution.high), step=int(distribution.step or 1))
    if distribution.rounded is not None:
        drawn = trial.suggest_float(name + DRAWN, distribution.low, distribution.high, log=distribution.log)
        return nearest(drawn, distribution.rounded)
    value = trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    return value if distribution.step is None else nearest(value, distribution.step)  # 0.3, not 0.30000000000000004


def grid(parameters: Iterable[Parameter]) -> dict[str, list[JsonValue]]:
    """The search space of Optuna's grid sampler: all values of each parameter that has more than one.

    A choice with probabilities is represented by a quantile per value; values of probability 0 are omitted.
    """
    space: dict[str, list[JsonValue]] = {}
    for parameter in parameters:
        distribution = parameter.distribution
        if isinstance(distribution, Choice) and distribution.probabilities is not None:
            bounds = accumulate(distribution.probabilities)
            space[parameter.name + DRAWN] = [
                b - p / 2 for b, p in zip(bounds, distribution.probabilities, strict=True) if p > 0
            ]
        elif isinstance(distribution, Choice) and len(distribution.values) > 1:
            space[parameter.name] = list(_choices(distribution))
        elif isinstance(distribution, Range) and distribution.step:
            count = round((distribution.high - distribution.low) / distribution.step) + 1
            values = [
                nearest(distribution.low + index * distribution.step, distribution.step) for index in range(count)
            ]
            space[parameter.name] = [min(max(value, distribution.low), distribution.high) for value in values]
    return space


def format_parameters(values: Mapping[str, object]) -> str:
    """Format parameters as one line."""
    parts = (
        f"{name} = {value:.5g}" if isinstance(value, float) else f"{name} = {value}" for name, value in values.items()
    )
    return ", ".join(parts)


def _choices(choice: Choice) -> dict[str | int | float | bool | None, JsonValue]:
    """The values keyed by what Optuna can store: scalars unchanged, lists and mappings as JSON.

    A value whose key is equal to an earlier one in Python (`true` and `1`, a list and its text) is keyed by its JSON
    text and type.
    """
    plain = (str, int, float, bool, type(None))
    values: dict[str | int | float | bool | None, JsonValue] = {}
    for value in choice.values:
        key = value if isinstance(value, plain) else json.dumps(value)
        while key in values:
            key = f"{key if isinstance(key, str) else json.dumps(value)} ({type(value).__name__})"
        values[key] = value
    return values
