"""Check a search: its parameter names, its metrics, its bounds."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from math import prod
from types import ModuleType

from data_juicer_sandbox.config.distributions import Choice, Distribution, Range
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.space import draw
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.sweep import Metric, Named, Sweep
from data_juicer_sandbox.errors import ConfigError, MissingDependency
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.validation.metrics import metric_problem, step_problem
from data_juicer_sandbox.workflow.overrides import check_values, resolve_parameter
from data_juicer_sandbox.workflow.planned_job import PlannedJob

_TRIED_OUT = 3
"""Trials that a sampler draws in memory before the run."""
EXTRA = "search"
"""The extra of this package that brings Optuna."""


def check_sweep(config: SandboxConfig, sweep: Sweep, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    """Every error of a search that can be found before the run."""
    problems = []
    for parameter in sweep.parameters:
        where = sweep.where(*parameter.path)
        problems += check_values(parameter.name, parameter.distribution.examples(), planned_jobs, where)
    problems += _check_duplicates(sweep, planned_jobs)
    for metric in sweep.metrics:
        problems += _check_metric(metric, sweep, planned_jobs)
    problems += _check_pruning(sweep, planned_jobs)
    problems += _check_end(config, sweep)
    for key, module, named in (("sampler", "samplers", sweep.sampler), ("pruner", "pruners", sweep.pruner)):
        if named is not None and key in sweep.content:
            problems += _check_named(key, module, named, sweep)
    if config.max_iter_num != 1 or config.iter_targets:
        what = (
            "a search and iterations cannot be combined in one run: `hpo_config` and `max_iter_num` or `iter_targets`"
        )
        problems.append(ConfigError(what, where=config.where("hpo_config")))
    if sweep.backend == "wandb":
        problems += _check_wandb(sweep)
    return problems


def combinations(sweep: Sweep) -> int | None:
    """The number of different trials; None if it is not finite."""
    sizes = [_size(parameter.distribution) for parameter in sweep.parameters]
    return None if None in sizes else prod(size for size in sizes if size)


def _size(distribution: Distribution) -> int | None:
    if isinstance(distribution, Choice):
        probabilities = distribution.probabilities or (1.0,) * len(distribution.values)
        return sum(probability > 0 for probability in probabilities)
    if isinstance(distribution, Range) and distribution.step:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return None


def _check_duplicates(sweep: Sweep, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    """Errors for parameters that set the same key."""
    problems, parameter_by_key = [], dict[tuple[str, str], str]()
    for parameter in sweep.parameters:
        for planned_job, key in resolve_parameter(parameter.name, planned_jobs):
            first_name = parameter_by_key.setdefault((planned_job.job.id, key), parameter.name)
            if first_name != parameter.name:
                label = planned_job.job.label
                what = f"parameters {first_name!r} and {parameter.name!r} set the same key of job {label!r}"
                problems.append(ConfigError(what, where=sweep.where(*parameter.path)))
    return problems


def _check_metric(metric: Metric, sweep: Sweep, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    problem = metric_problem(metric.name, planned_jobs)
    if problem is None:
        return []
    what, hint = problem
    if any(planned_job.job.meta_name == metric.name for planned_job in planned_jobs):  # as the original names metrics
        hint = f"{hint}; `dj-sandbox migrate` rewrites a config of the original"
    return [ConfigError(what, where=sweep.where(*metric.path), hint=hint)]


def _check_pruning(sweep: Sweep, planned_jobs: Sequence[PlannedJob]) -> list[ConfigError]:
    if sweep.pruner is None:
        return []
    key = "pruner" if "pruner" in sweep.content else "early_terminate"
    if len(sweep.metrics) > 1:
        what = "trials with several metrics cannot be pruned: none of them is better than all others"
        return [ConfigError(what, where=sweep.where(key))]
    metric = sweep.reports or next(iter(sweep.metrics), None)
    problem = step_problem(metric.name, planned_jobs) if metric is not None else None
    if problem is None:
        return []
    hint = problem[1] if sweep.reports else f"name one as `metric` of `{key}`; {problem[1]}"
    where = sweep.where(key, "metric") if sweep.reports else sweep.where(key)
    return [ConfigError(f"no trial can be pruned: {problem[0]}", where=where, hint=hint)]


def _check_end(config: SandboxConfig, sweep: Sweep) -> list[ConfigError]:
    count = combinations(sweep)
    if sweep.grid and count is None:
        key = "sampler" if sweep.sampler else "method"
        endless = [parameter.name for parameter in sweep.parameters if _size(parameter.distribution) is None]
        what = f"a grid needs finitely many values, but the range of {', '.join(endless)} is continuous"
        return [ConfigError(what, where=sweep.where(key), hint="values, a step `q`, or another method")]
    bounds = (sweep.max_trials, sweep.timeout, sweep.max_hours, config.max_hours, sweep.patience, config.patience)
    ends = any(bounds) or any(metric.target is not None for metric in sweep.metrics)
    if not sweep.grid and not ends:
        what = "nothing would end this search"
        return [ConfigError(what, where=sweep.where(), hint="sweep_max_count: the number of trials")]
    return []


def _check_named(key: str, module: str, named: Named, sweep: Sweep) -> list[ConfigError]:
    try:
        optuna = load("optuna", extra=EXTRA)
    except MissingDependency:  # `not_installed` names it
        return []
    base = optuna.samplers.BaseSampler if key == "sampler" else optuna.pruners.BasePruner
    classes = {
        name: candidate
        for name in dir(getattr(optuna, module))
        if isinstance(candidate := getattr(getattr(optuna, module), name), type)
        and issubclass(candidate, base)
        and candidate is not base
    }
    if named.name not in classes:
        return [
            ConfigError(
                f"Optuna has no {key} {named.name!r}", where=sweep.where(key), hint=suggest(named.name, classes)
            )
        ]
    accepted_parameters = inspect.signature(classes[named.name]).parameters
    for name in named.arguments:
        if name not in accepted_parameters:
            hint = suggest(name, accepted_parameters)
            return [ConfigError(f"{named.name} takes no {name!r}", where=sweep.where(key, name), hint=hint)]
    missing = [
        name
        for name, candidate in accepted_parameters.items()
        if candidate.default is candidate.empty
        and candidate.kind is candidate.POSITIONAL_OR_KEYWORD
        and name not in named.arguments
        and not (key == "sampler" and named.name == "GridSampler")
    ]
    if missing:
        return [ConfigError(f"{named.name} needs {', '.join(missing)}", where=sweep.where(key))]
    fault = _try_out(optuna, key, named, sweep) if sweep.parameters and sweep.metrics else None
    return [ConfigError(f"{named.name} cannot be used here: {fault}", where=sweep.where(key))] if fault else []


def _try_out(optuna: ModuleType, key: str, named: Named, sweep: Sweep) -> str | None:
    """Draw a few trials in memory with a sampler or pruner of the config; returns its error, if there is one.

    It is the only way to know: samplers check their arguments, their packages and the parameters when they draw.
    """
    import warnings

    verbosity = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            arguments = dict(named.arguments)
            if key == "pruner":
                getattr(optuna.pruners, named.name)(**arguments)
                return None
            if named.name == "GridSampler":  # made from the parameters, which are checked
                return None
            sampler = getattr(optuna.samplers, named.name)(**arguments)
            study = optuna.create_study(directions=[metric.goal for metric in sweep.metrics], sampler=sampler)
            for number in range(_TRIED_OUT):
                trial = study.ask()
                draw(trial, sweep.parameters)
                study.tell(trial, [float(number)] * len(sweep.metrics))
        except Exception as error:
            return " ".join(f"{type(error).__name__}: {error}".split())
        finally:
            optuna.logging.set_verbosity(verbosity)
    return None


def _check_wandb(sweep: Sweep) -> list[ConfigError]:
    from data_juicer_sandbox.watchers.wandb import configured, offline

    if configured() and not offline():
        return []
    what = "`backend: wandb` needs a W&B server, and W&B is offline or not configured here"
    hint = "set WANDB_API_KEY, or run `wandb login`; without `backend` the same file runs here, on Optuna"
    return [ConfigError(what, where=sweep.where("backend"), hint=hint)]
