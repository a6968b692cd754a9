"""Distributions as Optuna draws from them.

What Optuna has no distribution for is drawn as something it has and then turned into the value: a normal from its
quantile, a choice with probabilities likewise, a rounded number from one that is not. Such a draw is stored under
`<name> (drawn)`, so that nobody takes it for the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import accumulate
from statistics import NormalDist
from typing import Any

from data_juicer_sandbox.config.distributions import Choice, Distribution, Normal, Parameter, Range, nearest

DRAWN = " (drawn)"
_TAIL = 1e-9
"""How close to 0 and 1 a quantile may come, for a normal has no end."""


def draw(trial: Any, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The values of a trial's parameters, by name.

    Args:
        trial: an `optuna.Trial`; what it has drawn already, before a crash, it gives again.
        parameters: the search space.
    """
    return {one.name: _value(trial, one.name, one.distribution) for one in parameters}


def _value(trial: Any, name: str, wanted: Distribution) -> Any:
    if isinstance(wanted, Choice):
        if len(wanted.values) == 1:
            return wanted.values[0]
        if wanted.probabilities is None:
            return _choices(wanted)[trial.suggest_categorical(name, list(_choices(wanted)))]
        quantile = trial.suggest_float(name + DRAWN, 0.0, 1.0)
        bounds = list(accumulate(wanted.probabilities))
        likely = [index for index, one in enumerate(wanted.probabilities) if one > 0]
        return wanted.values[next((index for index in likely if quantile < bounds[index]), likely[-1])]
    if isinstance(wanted, Normal):
        quantile = trial.suggest_float(name + DRAWN, _TAIL, 1 - _TAIL)
        return wanted.finish(NormalDist(wanted.mu, wanted.sigma).inv_cdf(quantile))
    if wanted.whole and not wanted.log:
        return trial.suggest_int(name, int(wanted.low), int(wanted.high), step=int(wanted.step or 1))
    if wanted.rounded is not None:
        drawn = trial.suggest_float(name + DRAWN, wanted.low, wanted.high, log=wanted.log)
        return nearest(drawn, wanted.rounded)
    found = trial.suggest_float(name, wanted.low, wanted.high, step=wanted.step, log=wanted.log)
    return found if wanted.step is None else nearest(found, wanted.step)  # 0.3, not 0.30000000000000004


def grid(parameters: Iterable[Parameter]) -> dict[str, list[Any]]:
    """All values of each parameter that has more than one, as Optuna's grid takes them.

    A choice with probabilities is on the grid by a quantile inside its share; one that never comes is left out.
    """
    space: dict[str, list[Any]] = {}
    for one in parameters:
        wanted = one.distribution
        if isinstance(wanted, Choice) and wanted.probabilities is not None:
            bounds = accumulate(wanted.probabilities)
            space[one.name + DRAWN] = [b - p / 2 for b, p in zip(bounds, wanted.probabilities, strict=True) if p > 0]
        elif isinstance(wanted, Choice) and len(wanted.values) > 1:
            space[one.name] = list(_choices(wanted))
        elif isinstance(wanted, Range) and wanted.step:
            count = round((wanted.high - wanted.low) / wanted.step) + 1
            values = [nearest(wanted.low + index * wanted.step, wanted.step) for index in range(count)]
            space[one.name] = [min(max(value, wanted.low), wanted.high) for value in values]
    return space


def shown(values: Mapping[str, Any]) -> str:
    """Parameters on a line."""
    parts = (
        f"{name} = {value:.5g}" if isinstance(value, float) else f"{name} = {value}" for name, value in values.items()
    )
    return ", ".join(parts)


def _choices(wanted: Choice) -> dict[Any, Any]:
    """The values by what Optuna may store of them: scalars as they are, lists and mappings as JSON."""
    plain = (str, int, float, bool, type(None))
    return {value if isinstance(value, plain) else json.dumps(value): value for value in wanted.values}
