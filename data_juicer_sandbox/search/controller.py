"""`SearchController`: asks Optuna for trials, decides pruning and stopping, records results."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.search.space import draw
from data_juicer_sandbox.validation.sweep import combinations

OWNER, PARAMETERS, SECONDS, ERROR, SURPLUS = "owner", "parameters", "seconds", "error", "surplus"
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"


@dataclass(frozen=True)
class TrialSpec:
    """A trial to carry out.

    Args:
        number: from 0.
        values: of its parameters, by name.
        again: whether an earlier run began it.
    """

    number: int
    values: Mapping[str, Any]
    again: bool = False


@dataclass(frozen=True)
class TrialResult:
    """How a trial came out.

    Args:
        state: `complete`, `pruned` or `failed`.
        values: of the metrics, if complete.
        seconds: that it took, those of an earlier run included.
        error: why it failed.
        ran: labels of the jobs that ran for it.
        note: by what it was pruned.
        unreported: what its jobs watched with steps, if nothing of it was what the pruner judges by.
    """

    state: str
    values: tuple[float, ...] = ()
    seconds: float = 0.0
    error: str | None = None
    ran: tuple[str, ...] = ()
    note: str = ""
    unreported: tuple[str, ...] | None = None


class SearchController:
    """Hands out trials and takes their outcomes.

    Args:
        config: the run.
        sweep: the search.
        study: an `optuna.Study`; other processes may share its storage.
    """

    def __init__(self, config: SandboxConfig, sweep: Sweep, study: Any):
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
        """Why no trial is ever pruned, if the metric that the pruner judges by is not reported."""
        self._begun: float | None = None
        self._owner = f"{socket.gethostname()}:{Path(config.work_dir).resolve()}"
        self._live: dict[int, Any] = {}
        self._left = self._abandoned()

    def ask(self) -> TrialSpec | None:
        """The next trial, one that an earlier run left unfinished first; None where there is a `reason` for no more."""
        self._begun = self._begun or time.time()
        self.reason = self._enough()
        if self.reason and not (self._left and self.failures < self.sweep.max_failures):
            return None
        again = bool(self._left)
        trial = self._optuna.Trial(self.study, self._left.pop(0)) if again else self.study.ask()
        if self.limit is not None and trial.number >= self.limit:  # another process was quicker
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            return self.ask()
        if not again:
            trial.set_user_attr(OWNER, self._owner)
        values = draw(trial, self.sweep.parameters)
        trial.set_user_attr(PARAMETERS, values)
        self._live[trial.number] = trial
        return TrialSpec(trial.number, values, again)

    def report(self, number: int, step: int, value: float) -> bool:
        """Take an intermediate value; returns whether the trial is to be pruned."""
        trial, reports = self._live[number], self.sweep.reports
        maximize = self.sweep.metrics[0].maximize
        opposed = reports is not None and reports.maximize != maximize
        known = trial.storage.get_trial(trial._trial_id).intermediate_values
        if step not in known:  # after a crash a training tells some steps again
            trial.report(-value if opposed else value, step)
        return bool(trial.should_prune())

    def tell(self, number: int, outcome: TrialResult) -> None:
        """Record how a trial came out."""
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

    def trials(self) -> list[Any]:
        """All trials of the search so far, as `optuna.trial.FrozenTrial`."""
        found = self.study.get_trials(deepcopy=False)
        return [one for one in found if SURPLUS not in one.user_attrs]

    def best(self) -> list[Any]:
        """The best trial; with several metrics those that no other beats in all, the best in the first one first."""
        done = [one for one in self.trials() if one.state.name == "COMPLETE"]
        if not done:
            return []
        metrics = self.sweep.metrics
        signs = [-1 if metric.maximize else 1 for metric in metrics]
        keys = {one.number: tuple(s * v for s, v in zip(signs, one.values, strict=True)) for one in done}
        if len(metrics) == 1:
            return [min(done, key=lambda one: (keys[one.number], one.number))]
        front = [one for one in done if not any(_beats(other, keys[one.number]) for other in keys.values())]
        return sorted(front, key=lambda one: (keys[one.number], one.number))

    def _abandoned(self) -> list[int]:
        """Ids of trials that an earlier run of this work directory did not bring to an end."""
        alone = self.sweep.storage is None
        return [
            one._trial_id
            for one in self.study.get_trials(deepcopy=False)
            if one.state.name == "RUNNING" and (alone or one.user_attrs.get(OWNER) == self._owner)
        ]

    def _enough(self) -> str | None:
        sweep, trials = self.sweep, self.trials()
        if self.failures >= sweep.max_failures:
            return f"{self.failures} trials failed (max_failures {sweep.max_failures})"
        if self.limit is not None and len(trials) >= self.limit:
            return f"all {self.limit} trials are made"
        best = self.best()
        targets = [metric.target for metric in sweep.metrics]
        if any(target is not None for target in targets) and any(map(self._reached, best)):
            return "the target is reached"
        if self.max_hours is not None:
            hours = sum(one.user_attrs.get(SECONDS, 0.0) for one in trials) / 3600 / sweep.n_jobs
            if hours >= self.max_hours:
                return f"max_hours {self.max_hours:g} are spent"
        if sweep.timeout is not None and self._begun and time.time() - self._begun >= sweep.timeout:
            return f"the timeout of {sweep.timeout:g} s is over"
        if self.patience and best:
            since = sum(one.state.is_finished() and one.number > max(b.number for b in best) for one in trials)
            if since >= self.patience:
                return f"no gain in {since} trials (patience {self.patience})"
        return None

    def _reached(self, trial: Any) -> bool:
        return all(
            metric.target is None or (value >= metric.target if metric.maximize else value <= metric.target)
            for metric, value in zip(self.sweep.metrics, trial.values, strict=True)
        )


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
