"""Optuna's plots of a study, as PNG files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.config.distributions import Choice
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.search.controller import PARAMETERS
from data_juicer_sandbox.search.study import EXTRA

MOST = 5
"""Parameters in a contour plot: it has a panel for each pair."""


def draw_all(sweep: Sweep, trials: Sequence[Any], folder: Path) -> list[str]:
    """Draw what there is to be drawn: history, slice, contour, importances, intermediate values, Pareto front.

    Args:
        sweep: the search.
        trials: its trials, as `optuna.trial.FrozenTrial`.
        folder: where the files go.

    Returns:
        the names of the files.

    Raises:
        MissingDependency: Optuna or matplotlib is.
    """
    optuna = load("optuna", extra=EXTRA)
    load("matplotlib", extra=EXTRA).use("Agg")
    study, names = _shown(optuna, sweep, trials)
    done = sum(trial.state.name == "COMPLETE" for trial in study.trials)
    if done < 2:
        return []
    plots = optuna.visualization.matplotlib
    several = len(sweep.metrics) > 1
    drawn: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, metric in enumerate(sweep.metrics):
            given: dict[str, Any] = {"target_name": metric.name}
            if several:
                given["target"] = lambda trial, index=index: trial.values[index]
            tail = f"_{index + 1}" if several else ""
            wanted = _of_metric(optuna, study, names, given)
            drawn += [_save(folder / f"{name}{tail}.png", draw) for name, draw in wanted.items()]
        if any(trial.intermediate_values for trial in study.trials):
            drawn.append(_save(folder / "intermediate_values.png", lambda: plots.plot_intermediate_values(study)))
        if len(sweep.metrics) in (2, 3):
            titles = [metric.name for metric in sweep.metrics]
            draw = lambda: plots.plot_pareto_front(study, target_names=titles)  # noqa: E731
            drawn.append(_save(folder / "pareto_front.png", draw))
    return [name for name in drawn if name]


def _of_metric(optuna: Any, study: Any, names: list[str], given: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """The plots of one metric by name."""
    plots = optuna.visualization.matplotlib
    wanted: dict[str, Callable[[], Any]] = {"history": lambda: plots.plot_optimization_history(study, **given)}
    if names:
        wanted["slice"] = lambda: plots.plot_slice(study, params=names, **given)
    if len(names) > 1:
        ranked = _importances(optuna, study, given.get("target"), names)
        wanted["importances"] = lambda: plots.plot_param_importances(study, params=names, **given)
        wanted["contour"] = lambda: plots.plot_contour(study, params=ranked[:MOST], **given)
    return wanted


def _save(path: Path, draw: Callable[[], Any]) -> str:
    """Draw one plot into a file; returns its name, or nothing where it cannot be drawn."""
    from matplotlib import pyplot

    try:
        axes = draw()
        figure = (axes.flat[0] if hasattr(axes, "flat") else axes).figure
        if hasattr(axes, "shape"):
            wide = axes.shape[-1]
            figure.set_size_inches(4.5 * wide, 4.5 * (axes.shape[0] if axes.ndim > 1 else 1))
        with replacing(path) as part:
            figure.savefig(part, format="png", dpi=110, bbox_inches="tight")
        return path.name
    except Exception as error:
        logger.info("no {}: {}", path.name, error)  # all trials alike, say: nothing to be ashamed of
        return ""
    finally:
        pyplot.close("all")


def _importances(optuna: Any, study: Any, target: Any, names: list[str]) -> list[str]:
    """The parameters, the most important first."""
    try:
        return list(optuna.importance.get_param_importances(study, params=names, target=target))
    except (RuntimeError, ValueError):  # too few trials, or all alike
        return names


def _shown(optuna: Any, sweep: Sweep, trials: Sequence[Any]) -> tuple[Any, list[str]]:
    """A study in memory whose parameters are the values themselves, not what they were drawn from."""
    of = optuna.distributions
    kinds: dict[str, Any] = {}
    for one in sweep.parameters:
        values = [trial.user_attrs[PARAMETERS][one.name] for trial in trials if _counts(trial)]
        if isinstance(one.distribution, Choice):
            if len(one.distribution.values) > 1:
                kinds[one.name] = of.CategoricalDistribution([_plain(value) for value in one.distribution.values])
        elif values and all(isinstance(value, int) for value in values):
            kinds[one.name] = of.IntDistribution(min(values), max(values))
        elif values:
            log = bool(one.distribution.log) and min(values) > 0
            kinds[one.name] = of.FloatDistribution(float(min(values)), float(max(values)), log=log)
    study = optuna.create_study(directions=["maximize" if metric.maximize else "minimize" for metric in sweep.metrics])
    opposed = sweep.reports is not None and sweep.reports.maximize != sweep.metrics[0].maximize
    for trial in trials:
        seen = {step: -value if opposed else value for step, value in trial.intermediate_values.items()}
        counts = _counts(trial)
        study.add_trial(  # the others too, so that the numbers are those of the table
            optuna.trial.create_trial(
                state=trial.state if counts else optuna.trial.TrialState.FAIL,
                values=trial.values if trial.state.name == "COMPLETE" else None,
                params={name: _plain(trial.user_attrs[PARAMETERS][name]) for name in kinds} if counts else {},
                distributions=kinds if counts else {},
                intermediate_values=seen,
            )
        )
    return study, list(kinds)


def _counts(trial: Any) -> bool:
    return PARAMETERS in trial.user_attrs and trial.state.name in ("COMPLETE", "PRUNED")


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
