"""Optuna's plots of a study, as PNG files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.config.distributions import Choice
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.search.controller import PARAMETERS
from data_juicer_sandbox.search.study import EXTRA
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

MAX_CONTOUR_PARAMETERS = 5
"""Parameters in a contour plot: it has a panel for each pair."""


def draw_all(sweep: Sweep, trials: Sequence[FrozenTrial], folder: Path) -> list[str]:
    """Draw the plots that the trials allow: history, slice, contour, importances, intermediate values, Pareto front.

    Args:
        sweep: the search.
        trials: its trials, as `optuna.trial.FrozenTrial`.
        folder: the output folder.

    Returns:
        the names of the files.

    Raises:
        MissingDependency: Optuna or matplotlib is not installed.
    """
    optuna = load("optuna", extra=EXTRA)
    load("matplotlib", extra=EXTRA).use("Agg")
    study, names = _study_of_values(optuna, sweep, trials)
    n_completed = sum(trial.state.name == "COMPLETE" for trial in study.trials)
    if n_completed < 2:
        return []
    plots = optuna.visualization.matplotlib
    multi_objective = len(sweep.metrics) > 1
    file_names: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, metric in enumerate(sweep.metrics):
            options: dict[str, LibraryObject] = {"target_name": metric.name}
            if multi_objective:
                options["target"] = lambda trial, index=index: trial.values[index]
            suffix = f"_{index + 1}" if multi_objective else ""
            plot_functions = _metric_plots(optuna, study, names, options)
            file_names += [_save(folder / f"{name}{suffix}.png", draw) for name, draw in plot_functions.items()]
        if any(trial.intermediate_values for trial in study.trials):
            file_names.append(_save(folder / "intermediate_values.png", lambda: plots.plot_intermediate_values(study)))
        if len(sweep.metrics) in (2, 3):
            titles = [metric.name for metric in sweep.metrics]
            draw = lambda: plots.plot_pareto_front(study, target_names=titles)  # noqa: E731
            file_names.append(_save(folder / "pareto_front.png", draw))
    return [name for name in file_names if name]


def _metric_plots(
    optuna: ModuleType, study: Study, names: list[str], options: dict[str, LibraryObject]
) -> dict[str, Callable[[], LibraryObject]]:
    """The plots of one metric by name."""
    plots = optuna.visualization.matplotlib
    plot_functions: dict[str, Callable[[], LibraryObject]] = {
        "history": lambda: plots.plot_optimization_history(study, **options)
    }
    if names:
        plot_functions["slice"] = lambda: plots.plot_slice(study, params=names, **options)
    if len(names) > 1:
        ranked = _importances(optuna, study, options.get("target"), names)
        plot_functions["importances"] = lambda: plots.plot_param_importances(study, params=names, **options)
        plot_functions["contour"] = lambda: plots.plot_contour(study, params=ranked[:MAX_CONTOUR_PARAMETERS], **options)
    return plot_functions


def _save(path: Path, draw: Callable[[], LibraryObject]) -> str:
    """Draw one plot into a file; return its name, or an empty string if it cannot be drawn."""
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
        logger.info("no {}: {}", path.name, error)  # expected, for example, if all trials are alike
        return ""
    finally:
        pyplot.close("all")


def _importances(optuna: ModuleType, study: Study, target: LibraryObject, names: list[str]) -> list[str]:
    """The parameters, most important first."""
    try:
        return list(optuna.importance.get_param_importances(study, params=names, target=target))
    except (RuntimeError, ValueError):  # too few trials, or all alike
        return names


def _study_of_values(optuna: ModuleType, sweep: Sweep, trials: Sequence[FrozenTrial]) -> tuple[Study, list[str]]:
    """An in-memory study that holds the parameter values instead of the quantiles they were drawn from."""
    optuna_distributions = optuna.distributions
    distributions: dict[str, BaseDistribution] = {}
    for parameter in sweep.parameters:
        values = [trial.user_attrs[PARAMETERS][parameter.name] for trial in trials if _counts(trial)]
        if isinstance(parameter.distribution, Choice):
            if len(parameter.distribution.values) > 1:
                distributions[parameter.name] = optuna_distributions.CategoricalDistribution(
                    [_plain(value) for value in parameter.distribution.values]
                )
        elif values and all(isinstance(value, int) for value in values):
            distributions[parameter.name] = optuna_distributions.IntDistribution(min(values), max(values))
        elif values:
            log = bool(parameter.distribution.log) and min(values) > 0
            distributions[parameter.name] = optuna_distributions.FloatDistribution(
                float(min(values)), float(max(values)), log=log
            )
    study = optuna.create_study(directions=["maximize" if metric.maximize else "minimize" for metric in sweep.metrics])
    is_negated = sweep.reports is not None and sweep.reports.maximize != sweep.metrics[0].maximize
    for trial in trials:
        intermediate_values = {
            step: -value if is_negated else value for step, value in trial.intermediate_values.items()
        }
        counts = _counts(trial)
        study.add_trial(  # the others too, so that the numbers are those of the table
            optuna.trial.create_trial(
                state=trial.state if counts else optuna.trial.TrialState.FAIL,
                values=trial.values if trial.state.name == "COMPLETE" else None,
                params={name: _plain(trial.user_attrs[PARAMETERS][name]) for name in distributions} if counts else {},
                distributions=distributions if counts else {},
                intermediate_values=intermediate_values,
            )
        )
    return study, list(distributions)


def _counts(trial: FrozenTrial) -> bool:
    return PARAMETERS in trial.user_attrs and trial.state.name in ("COMPLETE", "PRUNED")


def _plain(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
