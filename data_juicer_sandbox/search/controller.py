"""`SearchController`: asks Optuna for trials, decides pruning and stopping, records results."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.config.distributions import value_text
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.space import draw, grid
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.search.study import StudyError
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.validation.sweep import combinations

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

OWNER, PARAMETERS, SECONDS, ERROR, OVER_LIMIT = "owner", "parameters", "seconds", "error", "surplus"
DUPLICATE, REPEATS, FOLDER_NUMBER = "duplicate", "repeats", "folder"
COMPLETE, PRUNED, FAILED, UNSCORED = "complete", "pruned", "failed", "unscored"
_MAX_DUPLICATES = 20
"""Draws in a row of values that an earlier trial has; then a combination that no trial has is taken."""


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run.

    Args:
        number: the trial's number, from 0.
        values: the parameter values by name.
        again: whether an earlier run started this trial.
        folder_number: the number in the name of its folder: that of the failed trial that it repeats, else its own.
    """

    number: int
    values: Mapping[str, JsonValue]
    again: bool = False
    folder_number: int | None = None


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    Args:
        state: `complete`, `pruned`, `failed`, or `unscored` if its jobs finished but the metric does not exist.
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
        self._size = combinations(sweep)
        bounds = [bound for bound in (sweep.max_trials, self._size if sweep.grid else None) if bound]
        self.limit = min(bounds) if bounds else None
        self.failures = 0
        self.ran: list[str] = []
        self.reason: str | None = None
        self.pruning_fault: str | None = None
        """Why pruning never happens: no job reports the metric that the pruner uses. None if one does."""
        self._begun: float | None = None
        self._owner = f"{socket.gethostname()}:{Path(config.work_dir).resolve()}"
        self._live: dict[int, optuna.Trial] = {}
        self.metric_fault: str | None = None
        """Why the first trial that finished has no value of the metric; then there are no more trials."""
        self._failed_before: list[FrozenTrial] = []
        self._abandoned_ids = self._find_abandoned()
        self._failed_before = self._find_failed()

    def ask(self) -> TrialSpec | None:
        """Return the next trial, or None and set `reason`.

        Trials that an earlier run left unfinished come first, those that failed in an earlier run last.

        Raises:
            StudyError: the sampler failed.
        """
        self._begun = self._begun or time.time()
        self.reason = self._stop_reason()
        may_fail = self.metric_fault is None and self.failures < self.sweep.max_failures
        if self._abandoned_ids and may_fail:
            return self._start(self._optuna.Trial(self.study, self._abandoned_ids.pop(0)), again=True)
        if self.reason is None:
            if (spec := self._ask_for_new_values()) is not None:
                return spec
            self.reason = self._stop_reason() or "no values are left that no trial has had"
        if self._failed_before and may_fail and self._has_tried_all():
            return self._repeat(self._failed_before.pop(0))
        return None

    def _ask_for_new_values(self) -> TrialSpec | None:
        """A trial with values that no other trial has; None if another process took the last one, or there is none."""
        for _ in range(_MAX_DUPLICATES):
            try:
                trial = self.study.ask()
                values = draw(trial, self.sweep.parameters)
            except Exception as error:  # of a sampler that the config names
                what = f"the sampler failed: {type(error).__name__}: {error}"
                raise StudyError(what, where=self.sweep.where("sampler" if self.sweep.sampler else "method")) from error
            if self.limit is not None and sum(other.number < trial.number for other in self.trials()) >= self.limit:
                self._hide(trial, OVER_LIMIT)  # another process was quicker
                return None
            if value_text(values) not in self._tried(trial.number):
                return self._start(trial, values=values)
            self._hide(trial, DUPLICATE)
        unused = self._unused_values()
        if unused is None:
            return None
        self.study.enqueue_trial(unused)
        return self._start(self.study.ask())

    def _start(
        self, trial: optuna.Trial, *, again: bool = False, values: Mapping[str, JsonValue] | None = None
    ) -> TrialSpec:
        values = draw(trial, self.sweep.parameters) if values is None else values
        if not again:
            trial.set_user_attr(OWNER, self._owner)
            if FOLDER_NUMBER in trial.user_attrs:  # another process wanted to repeat a trial of its work directory
                trial.set_user_attr(FOLDER_NUMBER, trial.number)
        trial.set_user_attr(PARAMETERS, values)
        self._live[trial.number] = trial
        return TrialSpec(trial.number, values, again, trial.user_attrs.get(FOLDER_NUMBER))

    def _repeat(self, failed: FrozenTrial) -> TrialSpec | None:
        """Run a trial again that failed in an earlier run: a new trial with the same values, in the same folder."""
        folder = failed.user_attrs.get(FOLDER_NUMBER, failed.number)
        attributes = {REPEATS: failed.number, FOLDER_NUMBER: folder}
        self.study.enqueue_trial(failed.params, user_attrs=attributes)
        trial = self.study.ask()
        if trial.user_attrs.get(REPEATS) != failed.number:  # another process was quicker
            self._hide(trial, DUPLICATE)
            return self.ask()
        trial.set_user_attr(OWNER, self._owner)
        return self._start(trial, again=True)

    def _hide(self, trial: optuna.Trial, why: str) -> None:
        """End a trial that does not run; it does not count."""
        trial.set_user_attr(why, True)
        self.study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def _tried(self, number: int | None = None) -> set[str]:
        """The values that trials have had, other than the trial with a number."""
        return {
            value_text(trial.user_attrs[PARAMETERS])
            for trial in self.trials()
            if trial.number != number and PARAMETERS in trial.user_attrs
        }

    def _has_tried_all(self) -> bool:
        """Whether no more new trials are to come."""
        if self.limit is not None and len(self.trials()) >= self.limit:
            return True
        return self._size is not None and len(self._tried()) >= self._size

    def _unused_values(self) -> dict[str, JsonValue] | None:
        """Values, by Optuna's names, that no trial has had; None if there are none, or too many to enumerate."""
        if self._size is None:
            return None
        tried, space = self._tried(), grid(self.sweep.parameters)
        for values in product(*space.values()):
            drawn = dict(zip(space, values, strict=True))
            if value_text(draw(self._optuna.trial.FixedTrial(drawn), self.sweep.parameters)) not in tried:
                return drawn
        return None

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
        if outcome.state == UNSCORED and not self.best():
            self.metric_fault = outcome.error  # it stays unfinished: scored by another metric, it keeps its jobs
            self.ran += outcome.ran
            return
        self.failures += outcome.state in (FAILED, UNSCORED)
        if outcome.unreported is not None and self.pruning_fault is None:
            name = (self.sweep.reports or self.sweep.metrics[0]).name
            reported = ", ".join(outcome.unreported[:10]) or "nothing"
            self.pruning_fault = (
                f"no trial can be pruned: no job reported {name!r} with a step (reported with steps: {reported})"
            )
        self.ran += outcome.ran
        if outcome.state == COMPLETE:
            self.study.tell(trial, values=list(outcome.values))
        else:
            self.study.tell(trial, state=states.PRUNED if outcome.state == PRUNED else states.FAIL)

    def trials(self) -> list[FrozenTrial]:
        """All trials of the search so far, as `optuna.trial.FrozenTrial`, without those that were repeated."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name != "WAITING"]
        hidden = {trial.number for trial in trials if {OVER_LIMIT, DUPLICATE}.intersection(trial.user_attrs)}
        hidden.update(trial.user_attrs[REPEATS] for trial in trials if REPEATS in trial.user_attrs)
        return [trial for trial in trials if trial.number not in hidden]

    def completed(self) -> list[TrialSpec]:
        """The completed trials of this work directory."""
        return [
            TrialSpec(trial.number, trial.user_attrs.get(PARAMETERS, {}), True, trial.user_attrs.get(FOLDER_NUMBER))
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

    def _find_failed(self) -> list[FrozenTrial]:
        """The trials of this work directory that failed in an earlier run."""
        return [
            trial
            for trial in self.trials()
            if trial.state.name == "FAIL"
            and trial.user_attrs.get(OWNER) == self._owner
            and PARAMETERS in trial.user_attrs
        ]

    def _stop_reason(self) -> str | None:
        sweep, trials = self.sweep, self.trials()
        if self.metric_fault is not None:
            return self.metric_fault
        if self.failures >= sweep.max_failures:
            return f"{self.failures} trials failed (max_failures {sweep.max_failures})"
        if self.limit is not None and len(trials) >= self.limit:
            return f"all {self.limit} trials are done"
        if self._size is not None and len(trials) >= self._size and len(self._tried()) >= self._size:
            return f"all {self._size} combinations of values are done"
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
