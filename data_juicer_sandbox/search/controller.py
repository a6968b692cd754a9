"""`SearchController`: asks Optuna for trials, decides pruning and stopping, records results."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.search.space import draw
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.validation.sweep import combinations

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

OWNER, PARAMETERS, SECONDS, ERROR, OVER_LIMIT = "owner", "parameters", "seconds", "error", "surplus"
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run.

    Args:
        number: the trial's number, from 0.
        values: the parameter values by name.
        again: whether an earlier run started this trial.
    """

    number: int
    values: Mapping[str, JsonValue]
    again: bool = False


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    Args:
        state: `complete`, `pruned` or `failed`.
        values: the metric values of a complete trial.
        seconds: the duration, including that of an earlier run.
        error: the error message of a failed trial.
        ran: labels of the jobs that ran for it.
        note: the value and step at which it was pruned.
        unreported: the names its jobs watched with steps, if the pruner's metric is not among them.
    """

    state: str
    values: tuple[float, ...] = ()
    seconds: float = 0.0
    error: str | None = None
    ran: tuple[str, ...] = ()
    note: str = ""
    unreported: tuple[str, ...] | None = None


class SearchController:
    """Asks the study for trials and records their results.

    Args:
        config: the config of the run.
        sweep: the search.
        study: an `optuna.Study`; other processes may share its storage.
    """

    def __init__(self, config: SandboxConfig, sweep: Sweep, study: optuna.Study):
        import optuna

        self._optuna, self.sweep, self.study = optuna, sweep, study
        self.max_hours = sweep.max_hours or config.max_hours
        self.patience = sweep.patience or config.patience
        size = combinations(sweep) if sweep.grid else None
        bounds = [bound for bound in (sweep.max_trials, size) if bound]
        self.limit = min(bounds) if bounds else None
        self.failures = 0
        self.ran: list[str] = []
        self.reason: str | None = None
        self.pruning_fault: str | None = None
        """Why pruning never happens: no job reports the metric that the pruner uses. None if one does."""
        self._begun: float | None = None
        self._owner = f"{socket.gethostname()}:{Path(config.work_dir).resolve()}"
        self._live: dict[int, optuna.Trial] = {}
        self._abandoned_ids = self._find_abandoned()

    def ask(self) -> TrialSpec | None:
        """Return the next trial, or None and set `reason`. Trials that an earlier run left unfinished come first."""
        self._begun = self._begun or time.time()
        self.reason = self._stop_reason()
        if self.reason and not (self._abandoned_ids and self.failures < self.sweep.max_failures):
            return None
        is_continued = bool(self._abandoned_ids)
        trial = self._optuna.Trial(self.study, self._abandoned_ids.pop(0)) if is_continued else self.study.ask()
        if self.limit is not None and trial.number >= self.limit:  # another process was quicker
            trial.set_user_attr(OVER_LIMIT, True)
            self.study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            return self.ask()
        if not is_continued:
            trial.set_user_attr(OWNER, self._owner)
        values = draw(trial, self.sweep.parameters)
        trial.set_user_attr(PARAMETERS, values)
        self._live[trial.number] = trial
        return TrialSpec(trial.number, values, is_continued)

    def report(self, number: int, step: int, value: float) -> bool:
        """Record an intermediate value; return whether the trial should be pruned."""
        trial = self._live[number]
        recorded_steps = trial.storage.get_trial(trial._trial_id).intermediate_values
        if step not in recorded_steps:  # after a crash a training reports some steps again
            trial.report(-value if self.sweep.negates_reports else value, step)
        return bool(trial.should_prune())

    def tell(self, number: int, outcome: TrialResult) -> None:
        """Record the result of a trial."""
        states = self._optuna.trial.TrialState
        trial = self._live.pop(number)
        trial.set_user_attr(SECONDS, round(outcome.seconds, 3))
        if outcome.error:
            trial.set_user_attr(ERROR, outcome.error)
        self.failures += outcome.state == FAILED
        if outcome.unreported is not None and self.pruning_fault is None:
            name = (self.sweep.reports or self.sweep.metrics[0]).name
            reported = ", ".join(outcome.unreported[:10]) or "nothing"
            self.pruning_fault = (
                f"no trial can be ended early: no job watched {name!r} with a step (watched with steps: {reported})"
            )
        self.ran += outcome.ran
        if outcome.state == COMPLETE:
            self.study.tell(trial, values=list(outcome.values))
        else:
            self.study.tell(trial, state=states.PRUNED if outcome.state == PRUNED else states.FAIL)

    def trials(self) -> list[FrozenTrial]:
        """All trials of the search so far, as `optuna.trial.FrozenTrial`."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if OVER_LIMIT not in trial.user_attrs]

    def completed(self) -> list[TrialSpec]:
        """The completed trials of this work directory."""
        return [
            TrialSpec(trial.number, trial.user_attrs.get(PARAMETERS, {}), again=True)
            for trial in self.trials()
            if trial.state.name == "COMPLETE" and trial.user_attrs.get(OWNER) == self._owner
        ]

    def best(self) -> list[FrozenTrial]:
        """The best trial; with several metrics the Pareto front, sorted by the first metric."""
        completed = [trial for trial in self.trials() if trial.state.name == "COMPLETE"]
        if not completed:
            return []
        metrics = self.sweep.metrics
        signs = [-1 if metric.maximize else 1 for metric in metrics]
        keys = {trial.number: tuple(s * v for s, v in zip(signs, trial.values, strict=True)) for trial in completed}
        if len(metrics) == 1:
            return [min(completed, key=lambda trial: (keys[trial.number], trial.number))]
        front = [
            trial
            for trial in completed
            if not any(_beats(other_values, keys[trial.number]) for other_values in keys.values())
        ]
        return sorted(front, key=lambda trial: (keys[trial.number], trial.number))

    def _find_abandoned(self) -> list[int]:
        """Ids of trials that an earlier run of this work directory did not finish."""
        is_private_study = self.sweep.storage is None
        return [
            trial._trial_id
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.name == "RUNNING" and (is_private_study or trial.user_attrs.get(OWNER) == self._owner)
        ]

    def _stop_reason(self) -> str | None:
        sweep, trials = self.sweep, self.trials()
        if self.failures >= sweep.max_failures:
            return f"{self.failures} trials failed (max_failures {sweep.max_failures})"
        if self.limit is not None and len(trials) >= self.limit:
            return f"all {self.limit} trials are done"
        best = self.best()
        targets = [metric.target for metric in sweep.metrics]
        if any(target is not None for target in targets) and any(map(self._reached, best)):
            return "the target is reached"
        if self.max_hours is not None:
            hours = sum(trial.user_attrs.get(SECONDS, 0.0) for trial in trials) / 3600 / sweep.n_jobs
            if hours >= self.max_hours:
                return f"max_hours {self.max_hours:g} is reached"
        if sweep.timeout is not None and self._begun and time.time() - self._begun >= sweep.timeout:
            return f"the timeout of {sweep.timeout:g} s is over"
        if self.patience and best:
            trials_without_gain = sum(
                trial.state.is_finished() and trial.number > max(b.number for b in best) for trial in trials
            )
            if trials_without_gain >= self.patience:
                return f"no gain in {trials_without_gain} trials (patience {self.patience})"
        return None

    def _reached(self, trial: FrozenTrial) -> bool:
        return all(
            metric.target is None or (value >= metric.target if metric.maximize else value <= metric.target)
            for metric, value in zip(self.sweep.metrics, trial.values, strict=True)
        )


def _beats(values: tuple[float, ...], other_values: tuple[float, ...]) -> bool:
    return values != other_values and all(a <= b for a, b in zip(values, other_values, strict=True))
