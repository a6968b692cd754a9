"""Run the same search on W&B: register the sweep there and run W&B's agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.space import format_parameters
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.search.controller import COMPLETE, FAILED, UNSCORED, TrialResult, TrialSpec
from data_juicer_sandbox.search.trial_runner import FOLDER, Trials
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.types import ConfigValues, JsonValue, LibraryObject

FILE = "wandb_sweep.json"
_SANDBOX_KEYS = (
    "sweep_name", "sweep_max_count", "run_cap", "max_trials", "sampler", "pruner", "n_jobs", "timeout", "seed",
    "storage", "max_failures", "max_hours", "patience", "backend", "metrics", "plots",
)  # fmt: skip


def wandb_sweep_config(sweep: Sweep) -> ConfigValues:
    """The sweep config in W&B's format, without the keys that only this package uses.

    Nested parameters get dotted names, since a trial's values are looked up by them.
    """
    wandb_config = {
        key: value for key, value in sweep.content.items() if key not in _SANDBOX_KEYS and value is not None
    }
    metric = sweep.metrics[0]
    wandb_config["metric"] = {"name": metric.name, "goal": "maximize" if metric.maximize else "minimize"}
    if metric.target is not None:
        wandb_config["metric"]["target"] = metric.target
    if isinstance(wandb_config.get("early_terminate"), Mapping):
        sandbox_only = ("metric", "goal")
        wandb_config["early_terminate"] = {
            key: value for key, value in wandb_config["early_terminate"].items() if key not in sandbox_only
        }
    wandb_config["parameters"] = {
        parameter.name: _get_by_path(sweep.content, parameter.path) for parameter in sweep.parameters
    }
    return {"method": sweep.method, **wandb_config, **({"name": sweep.name} if sweep.name else {})}


def run_agent(config: SandboxConfig, sweep: Sweep, trials: Trials, screen: View) -> None:
    """Register the sweep, or continue the one that this work directory registered, and run W&B's agent."""
    wandb = load("wandb", extra="wandb")
    trials.watchers = ("local",)  # the agent's own run takes the metrics
    file = Path(config.work_dir) / FILE
    if file.is_file():
        try:
            sweep_id = str(loads(file.read_text(encoding="utf-8"))["id"])
        except (ValueError, LookupError, TypeError) as error:
            raise WorkDirError(f"no id of a W&B sweep: {error}", where=str(file), hint="remove it") from error
    else:
        sweep_id = wandb.sweep(wandb_sweep_config(sweep), project=config.project_name)
        with replacing(file, durable=True) as part:
            part.write_text(json.dumps({"id": sweep_id, "project": config.project_name}) + "\n", encoding="utf-8")
    screen.message(f"W&B sweep {sweep_id} of project {config.project_name!r}")

    def run_next_trial() -> None:
        number = _next_number(Path(config.work_dir))
        with wandb.init(group=sweep.name, dir=config.work_dir) as run:
            values = {parameter.name: run.config[parameter.name] for parameter in sweep.parameters}
            screen.pass_started(f"trial {number}: {format_parameters(values)}", len(trials.affected_ids))
            outcome = trials.run(TrialSpec(number, values), _reporter(run, sweep))
            _tell(run, sweep, outcome)
            logger.info("trial {} is {}: {}", number, outcome.state, outcome.error or outcome.values)
            screen.message(f"trial {number} {outcome.state}: {outcome.error or outcome.values}")

    wandb.agent(sweep_id, function=run_next_trial, project=config.project_name, count=sweep.max_trials)


def _tell(run: LibraryObject, sweep: Sweep, outcome: TrialResult) -> None:
    if outcome.state == COMPLETE:
        run.log({metric.name: value for metric, value in zip(sweep.metrics, outcome.values, strict=True)})
    run.summary["state"] = outcome.state
    if outcome.state in (FAILED, UNSCORED):
        run.summary["error"] = outcome.error
        run.finish(exit_code=1)


def _reporter(run: LibraryObject, sweep: Sweep) -> Callable[[int, float], bool]:
    """Return a function that sends intermediate values to W&B; W&B's agent itself ends runs early."""
    name = (sweep.reports or sweep.metrics[0]).name

    def report(step: int, value: float) -> bool:
        run.log({name: value, "step": step})
        return False

    return report


def _next_number(work_dir: Path) -> int:
    folder = work_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    names = [path.name.removeprefix("trial_") for path in folder.iterdir()]
    numbers = [int(name) for name in names if name.isdigit()]
    return max(numbers, default=-1) + 1


def _get_by_path(value: JsonValue, path: tuple[str | int, ...]) -> JsonValue:
    for key in path:
        value = value[key]
    return value
