"""Read a sweep file: the format of W&B's sweeps, with Optuna's samplers and pruners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from data_juicer_sandbox.config import yaml_source as sources
from data_juicer_sandbox.config.distributions import AddProblem, Parameter, read_parameters
from data_juicer_sandbox.config.interpolation import fill, find_variable, unknown_variable
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import Source
from data_juicer_sandbox.errors import ConfigError, Problems, TooManyProblems, Where
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import ConfigValues, JsonValue, Variables

METHODS = ("grid", "random", "bayes")
_NUMBERS: dict[str, tuple[type, ...]] = {
    "sweep_max_count": (int,), "run_cap": (int,), "max_trials": (int,), "n_jobs": (int,), "seed": (int,),
    "max_failures": (int,), "patience": (int,), "timeout": (int, float), "max_hours": (int, float),
}  # fmt: skip
_TEXTS = ("sweep_name", "name", "storage", "backend", "method", "description")
_OTHER = ("metric", "metrics", "parameters", "early_terminate", "sampler", "pruner", "plots")
FOR_WANDB = ("program", "command", "project", "entity", "controller", "imageuri", "job", "launch")
"""Keys of a sweep file that say how W&B starts a program: nothing is started here."""
KNOWN = (*_NUMBERS, *_TEXTS, *_OTHER, *FOR_WANDB)


@dataclass(frozen=True)
class Metric:
    """A metric of a search.

    Args:
        name: a context key `<pipeline>.<meta_name>.<output>`, or a watched name `<meta_name>.<key>`.
        maximize: whether more is better.
        target: a value good enough to stop.
        path: its path in the file.
    """

    name: str
    maximize: bool = False
    target: float | None = None
    path: sources.KeyPath = ()

    @property
    def goal(self) -> str:
        """`maximize` or `minimize`."""
        return "maximize" if self.maximize else "minimize"


@dataclass(frozen=True)
class Named:
    """A sampler or pruner of Optuna by its class's name, with the arguments of its constructor."""

    name: str
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """A whole search.

    Args:
        name: of the study; the same in every process that takes part.
        method: `grid`, `random` or `bayes`.
        metrics: one; several for a Pareto front.
        parameters: what is searched.
        pruner: what ends trials that lag behind; None for nothing.
        reports: the watched name by which it judges them.
        sampler: another than the method's own.
        max_trials: trials in all, failed and pruned ones included; None for no bound.
        n_jobs: number of trials that run in parallel.
        seed: of the suggestions.
        timeout: seconds after which a run begins no more trials.
        storage: an Optuna storage URL, or the path of a journal file; None for one in the work directory.
        max_failures: trials that may fail in one run before it gives up.
        max_hours: none begins once the trials have taken so long.
        patience: stop after so many trials without gain.
        backend: `optuna` or `wandb`.
        plots: whether to draw them when it ends.
        content: the file's content.
    """

    name: str | None
    method: str
    metrics: tuple[Metric, ...]
    parameters: tuple[Parameter, ...]
    pruner: Named | None = None
    reports: Metric | None = None
    sampler: Named | None = None
    max_trials: int | None = None
    n_jobs: int = 1
    seed: int = 42
    timeout: float | None = None
    storage: str | None = None
    max_failures: int = 5
    max_hours: float | None = None
    patience: int | None = None
    backend: str = "optuna"
    plots: bool = True
    content: Mapping[str, JsonValue] = field(default_factory=dict, compare=False, repr=False)
    source: Source = field(default_factory=lambda: Source("<memory>", None), compare=False, repr=False)

    @property
    def grid(self) -> bool:
        """Whether every combination is taken once."""
        return self.sampler.name == "GridSampler" if self.sampler else self.method == "grid"

    @property
    def negates_reports(self) -> bool:
        """Whether the pruner gets its metric with the opposite sign: its goal is not that of the search."""
        return self.reports is not None and self.reports.maximize != self.metrics[0].maximize

    def where(self, *path: str | int) -> Where:
        """The line of one of its keys."""
        return self.source.where(path)


def read_sweep(path: str, variables: Variables) -> tuple[Sweep | None, list[ConfigError]]:
    """Read a sweep file.

    Args:
        path: a YAML or JSON file.
        variables: the values of `${...}`.

    Returns:
        the search (None where nothing can be made of the file) and all faults found.
    """
    try:
        source = sources.read(path)
        if not isinstance(source.value, dict):
            raise ConfigError(
                "a sweep file must be a mapping of keys", where=source.where(), hint="method, metric, parameters"
            )
    except ConfigError as error:
        return None, [error]
    problems: list[ConfigError] = Problems()

    def add_problem(what: str, path: sources.KeyPath = (), hint: str | None = None) -> None:
        problems.append(ConfigError(what, where=source.where(path), hint=hint))

    def unknown(name: str) -> None:
        what, hint = unknown_variable(name, variables)
        add_problem(what, find_variable(source.value, name), hint)

    try:
        return _sweep(fill(source.value, variables, unknown), source, add_problem), problems
    except TooManyProblems:
        return None, problems
    except ConfigError as error:  # what its variables fill in
        return None, [*problems, ConfigError(error.what, where=source.where())]


def _sweep(content: ConfigValues, source: Source, add_problem: AddProblem) -> Sweep:
    for key, value in content.items():
        if key not in KNOWN:
            add_problem(f"unknown key {shown(key)}", (key,), suggest(str(key), KNOWN))
        elif value is not None and key in _NUMBERS and (type(value) not in _NUMBERS[key]):
            add_problem(f"{key!r} must be {'a whole ' if float not in _NUMBERS[key] else 'a '}number", (key,))
        elif value is not None and key in _NUMBERS and key != "seed" and value <= 0:
            add_problem(f"{key!r} must be more than 0", (key,))
        elif key == "plots" and not isinstance(value, bool):
            add_problem("'plots' must be true or false", (key,))
        elif value is not None and key in _TEXTS and not isinstance(value, str):
            add_problem(f"{key!r} must be text", (key,))
    values = {key: value for key, value in content.items() if value is not None}
    values = {key: value for key, value in values.items() if key not in _NUMBERS or type(value) in _NUMBERS[key]}
    counts = [key for key in ("sweep_max_count", "run_cap", "max_trials") if key in values]
    if len(counts) > 1:
        add_problem(f"{counts[0]!r} and {counts[1]!r} mean the same: use one of them", (counts[1],))
    method = values.get("method", "bayes")
    if method not in METHODS:
        add_problem(f"unknown method {method!r}", ("method",), suggest(str(method), METHODS))
    if values.get("backend", "optuna") not in ("optuna", "wandb"):
        add_problem("'backend' must be optuna or wandb", ("backend",))
    sampler, _ = _named(values["sampler"], "sampler", add_problem) if "sampler" in values else (None, {})
    metric_entries = values.get("metric", values.get("metrics"))
    metrics = tuple(_metrics(metric_entries, "metric" if "metric" in values else "metrics", add_problem))
    pruner, reports = _pruner(values, metrics, add_problem)
    return Sweep(
        name=values.get("sweep_name", values.get("name")),
        method=str(method),
        metrics=metrics,
        parameters=tuple(read_parameters(values.get("parameters"), ("parameters",), add_problem)),
        pruner=pruner,
        reports=reports,
        sampler=sampler,
        max_trials=values[counts[0]] if counts else None,
        content=content,
        source=source,
        **{
            key: values[key]
            for key in (
                "n_jobs",
                "seed",
                "timeout",
                "storage",
                "max_failures",
                "max_hours",
                "patience",
                "backend",
                "plots",
            )
            if key in values
        },
    )


def _metrics(value: object, key: str, add_problem: AddProblem) -> list[Metric]:
    entries = value if isinstance(value, list) else [value]
    metrics: list[Metric] = []
    for index, entry in enumerate(entries):
        path: sources.KeyPath = (key, index) if isinstance(value, list) else (key,)
        metric = _metric(entry, path, add_problem)
        if metric is not None and any(metric.name == other.name for other in metrics):
            add_problem(f"metric {metric.name!r} is listed twice", path)
        elif metric is not None:
            metrics.append(metric)
    return metrics


def _metric(entry: object, path: sources.KeyPath, add_problem: AddProblem) -> Metric | None:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        add_problem("the search needs a metric with a name", path, "metric: {name: <meta_name>.<key>, goal: minimize}")
        return None
    for key in entry:
        if key not in ("name", "goal", "target"):
            add_problem(f"unknown key {key!r} of a metric", (*path, key), suggest(str(key), ("name", "goal", "target")))
    goal, target = entry.get("goal", "minimize"), entry.get("target")
    if goal not in ("minimize", "maximize"):
        add_problem(f"`goal` must be minimize or maximize, not {goal!r}", (*path, "goal"))
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | float)):
        add_problem(f"`target` must be a number, not {target!r}", (*path, "target"))
        target = None
    return Metric(entry["name"], goal == "maximize", target, path)


def _pruner(
    values: Mapping[str, object], metrics: Sequence[Metric], add_problem: AddProblem
) -> tuple[Named | None, Metric | None]:
    """`early_terminate` as Optuna's successive halving, or a `pruner` of Optuna by name; and what it judges by."""
    if "early_terminate" in values and "pruner" in values:
        add_problem("`early_terminate` and `pruner` cannot be used together", ("pruner",))
    if "pruner" in values:
        named, rest = _named(values["pruner"], "pruner", add_problem)
        return named, _reports(rest, metrics, ("pruner",), add_problem)
    if "early_terminate" not in values:
        return None, None
    settings, path = values["early_terminate"], ("early_terminate",)
    if not isinstance(settings, Mapping) or settings.get("type") != "hyperband":
        add_problem("`early_terminate` must have `type: hyperband`", path)
        return None, None
    valid_keys = ("type", "min_iter", "max_iter", "s", "eta", "strict", "metric", "goal")
    for key, value in settings.items():
        if key not in valid_keys:
            add_problem(f"unknown key {key!r} of early_terminate", (*path, key), suggest(str(key), valid_keys))
        elif key in ("min_iter", "max_iter", "s", "eta") and (type(value) is not int or value < 1 + (key == "eta")):
            add_problem(f"{key!r} must be a whole number of {2 if key == 'eta' else 1} or more", (*path, key))
            return None, None
    eta = settings.get("eta", 3)
    if ("min_iter" in settings) == ("max_iter" in settings):
        add_problem("hyperband takes either `min_iter`, or `max_iter` with `s`", path)
        return None, None
    if "max_iter" in settings and "s" not in settings:
        add_problem("`max_iter` of hyperband needs `s`, the number of its brackets", path)
        return None, None
    first = settings.get("min_iter") or max(1, settings["max_iter"] // eta ** settings["s"])
    arguments = {"min_resource": first, "reduction_factor": eta}
    return Named("SuccessiveHalvingPruner", arguments), _reports(settings, metrics, path, add_problem)


def _reports(
    settings: Mapping[str, object], metrics: Sequence[Metric], path: sources.KeyPath, add_problem: AddProblem
) -> Metric | None:
    """What the pruner judges by. Its goal is that of the search's metric of this name; another name needs its own.

    A pattern that fits a metric of the search stands for this metric alone: the goal is not that of other values.
    """
    if "metric" not in settings:
        if "goal" in settings and metrics and settings["goal"] != metrics[0].goal:
            what = (
                f"`goal` is {settings['goal']!r}, and the search's metric {metrics[0].name!r} is to {metrics[0].goal}"
            )
            add_problem(what, (*path, "goal"), "leave it out, or name the `metric` that it belongs to")
        return None
    reports = _metric({"name": settings["metric"], "goal": settings.get("goal", "minimize")}, path, add_problem)
    if reports is None:
        return None
    same = next((metric for metric in metrics if _means(reports.name, metric.name)), None)
    if same is None and "goal" not in settings:
        hint = f"goal: minimize or maximize; it is not a metric of the search ({', '.join(m.name for m in metrics)})"
        add_problem(f"the metric {reports.name!r} needs a `goal`", (*path, "metric"), hint)
    elif same is not None and "goal" in settings and settings["goal"] != same.goal:
        what = f"`goal` is {settings['goal']!r}, and the search's metric {same.name!r} is to {same.goal}"
        add_problem(what, (*path, "goal"), "leave it out")
    if same is None:
        return reports
    name = reports.name if reports.name.endswith(f".{same.name}") else same.name
    return replace(reports, name=name, maximize=same.maximize)


def _means(reported: str, metric: str) -> bool:
    """Whether a name or pattern of watched values stands for a metric; both may begin with a pipeline's name."""
    metric_in_pipeline, reported_in_pipeline = (text.partition(".")[2] for text in (metric, reported))
    return fnmatchcase(metric, reported) or fnmatchcase(metric_in_pipeline, reported) or metric == reported_in_pipeline


def _named(entry: object, key: str, add_problem: AddProblem) -> tuple[Named | None, ConfigValues]:
    """A class by name, or by name and arguments; `metric` and `goal` are not among these."""
    if isinstance(entry, str):
        return Named(entry), {}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        add_problem(f"`{key}` must be a name, or a mapping with `name` and arguments", (key,))
        return None, {}
    goal_keys = {name: entry[name] for name in ("metric", "goal") if name in entry and key == "pruner"}
    rest = {name: value for name, value in entry.items() if name not in ("name", *goal_keys)}
    return Named(entry["name"], rest), goal_keys
