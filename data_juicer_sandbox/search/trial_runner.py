"""Run one trial: the jobs that its parameters affect, in a folder of its own, on the results of the shared jobs."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loguru import logger

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Metric, Sweep
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.engine.job_runner import cause
from data_juicer_sandbox.engine.runner import JobFailed, PipelineRunner, RunContext, TrialPruned
from data_juicer_sandbox.errors import CheckpointError, SandboxError
from data_juicer_sandbox.files import make_folder, move_aside
from data_juicer_sandbox.search.controller import COMPLETE, FAILED, PRUNED, TrialResult, TrialSpec
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.watchers.base import flatten
from data_juicer_sandbox.watchers.local import CONFIG_FILE, FILE, last_values
from data_juicer_sandbox.watchers.watcher import Watcher
from data_juicer_sandbox.workflow.graph import edges
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.overrides import resolve_overrides, resolve_parameter, with_overrides
from data_juicer_sandbox.workflow.planned_job import PlannedJob

FOLDER = "trials"
Report = Callable[[int, float], bool]
"""Takes a step and a value; says whether the trial is to be pruned."""


class MetricError(SandboxError):
    """A trial's metric is missing, or no number."""


class Listening(Watcher):
    """A trial's watcher: what the pruner judges by goes to it as well."""

    name: str | None = None
    report: Report | None = None
    shared: Path | None = None
    _heard: str | None = None
    _others: Mapping[str, None] = MappingProxyType({})

    @property
    def unreported(self) -> tuple[str, ...] | None:
        """What was watched with steps, where nothing had the name that the pruner judges by; None if something had."""
        return None if self.name is None or self._heard is not None else tuple(self._others)

    def watch(self, pipeline: str, meta_name: str, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record what a job measured.

        Raises:
            Stopped: the pruner has seen enough.
        """
        super().watch(pipeline, meta_name, values, step)
        if step is None or self.name is None or self.report is None:
            return
        for key, value in flatten(values):
            name = f"{meta_name}.{key}"
            if self._heard is None and any(
                fnmatch.fnmatchcase(spelling, self.name) for spelling in (name, f"{pipeline}.{name}")
            ):
                self._heard = name  # where several fit a pattern, the first that came
            if self._heard is None:
                self._others = dict.fromkeys([*self._others, name])
            if name == self._heard and isinstance(value, int | float) and self.report(int(step), float(value)):
                raise TrialPruned(f"{name} is {value:.5g} at step {step}")

    def query(self, meta_name: str, pipeline: str | None = None) -> dict[str, Any]:
        """The last values that a job of this trial watched, or else one that all trials share."""
        found = super().query(meta_name, pipeline)
        return found if found or self.shared is None else last_values(self.shared, meta_name, pipeline)


class Trials:
    """Carries trials out.

    Args:
        config: the run.
        sweep: the search.
        views: all its jobs.
        shared: records of the jobs that no parameter reaches, by pipeline.
        run_context: the run's own; its fingerprints, screen and log serve all trials.
    """

    def __init__(
        self,
        config: SandboxConfig,
        sweep: Sweep,
        views: Sequence[PlannedJob],
        shared: Sequence[tuple[str, JobRecord]],
        run_context: RunContext,
    ):
        self.config, self.sweep, self.views, self.shared, self.run_context = config, sweep, views, shared, run_context
        names = [one.name for one in sweep.parameters]
        self.reached = reached(names, views, run_context.context)
        self.watchers = config.watchers
        reports = sweep.reports or (sweep.metrics[0] if sweep.pruner else None)
        self._listens_to = reports.name if reports else None

    def folder(self, number: int) -> Path:
        """Where a trial lies."""
        return Path(self.config.work_dir) / FOLDER / f"trial_{number}"

    def prepare(self, given: TrialSpec) -> Path:
        """A trial's folder, with what an earlier run left of this trial; that of another search is moved aside."""
        folder = self.folder(given.number)
        if not given.again and (folder / CONFIG_FILE).exists():
            move_aside(folder)
        make_folder(Path(self.config.work_dir), folder)
        return folder

    def run(self, given: TrialSpec, report: Report | None) -> TrialResult:
        """Carry a trial out; what goes wrong in it is its outcome.

        Args:
            given: the trial.
            report: told of intermediate values.
        """
        folder = self.prepare(given)
        checkpoint = Checkpoint(folder)
        context = self._context(checkpoint)
        watcher = self._watcher(folder, given, report)
        ran: list[str] = []
        done_before = self._done(context)
        before = sum(record.job["seconds"] for _, record in done_before)
        started = time.monotonic()
        try:
            one = self._pass(given, replace(self.run_context, context=context, checkpoint=checkpoint, watcher=watcher))
            ran = one.ran
            one.execute(one.plan())
            outcome = TrialResult(COMPLETE, tuple(value_of(metric, context, watcher) for metric in self.sweep.metrics))
        except TrialPruned as stopped:
            logger.info("trial {} is pruned: {}", given.number, stopped)
            outcome = TrialResult(PRUNED, note=str(stopped))
        except JobFailed as error:
            outcome = TrialResult(FAILED, error=str(error))
        except SandboxError as error:
            outcome = TrialResult(FAILED, error=cause(error))
        finally:
            watcher.close()
        # Of a trial that is continued, a job that an earlier run finished may have reported it.
        unreported = watcher.unreported if outcome.state == COMPLETE and not done_before else None
        seconds = before + time.monotonic() - started
        return replace(outcome, seconds=seconds, ran=tuple(ran), unreported=unreported)

    def _done(self, context: ContextInfos) -> list[tuple[str, JobRecord]]:
        """The trial's own jobs that an earlier run finished."""
        return [found for found in context.records() if self._own(*found) and found[1].done]

    def _pass(self, given: TrialSpec, run_context: RunContext) -> PipelineRunner:
        changes, faults = resolve_overrides(given.values, self.views, lambda name: self.sweep.where("parameters", name))
        if faults:  # of a value in between, say: the ends were looked at beforehand
            raise faults[0]
        views = with_overrides(self.views, changes, self.config.variables)
        own = [view for view in views if view.job.id in self.reached]
        relocator = PathRelocator.of(
            Path(self.config.work_dir), f"{FOLDER}/trial_{given.number}", own, frozenset(self.reached)
        )
        quiet = frozenset(view.job.id for view in views) - self.reached
        return PipelineRunner(views, relocator, run_context, quiet)

    def _context(self, checkpoint: Checkpoint) -> ContextInfos:
        """What the trial has done already, upon what all share."""
        try:
            trust = self.run_context.trust_checkpoint
            begun = checkpoint.read(trust=trust) if checkpoint.exists() else ContextInfos()
        except CheckpointError as error:
            logger.warning("the trial begins anew, and its checkpoint is now in {}: {}", checkpoint.set_aside(), error)
            begun = ContextInfos()
        context = ContextInfos()
        for pipeline, record in (*self.shared, *(found for found in begun.records() if self._own(*found))):
            context.put(pipeline, record)
        return context

    def _own(self, pipeline: str, record: JobRecord) -> bool:
        return f"{pipeline}/{record.job.get('phase')}/{record.meta_name}" in self.reached

    def _watcher(self, folder: Path, given: TrialSpec, report: Report | None) -> Listening:
        watcher = Listening.open(
            folder,
            project=self.config.project_name,
            experiment=f"{self.config.experiment_name}-trial_{given.number}",
            names=self.watchers,
            config={**self.config.given, "parameters": dict(given.values)},
            group=self.sweep.name or self.config.experiment_name,
        )
        watcher.name, watcher.report = self._listens_to, report
        watcher.shared = Path(self.config.work_dir) / FILE
        return watcher


def reached(names: Sequence[str], views: Sequence[PlannedJob], context: ContextInfos) -> frozenset[str]:
    """The ids of the jobs that parameters set something in, and of all that read from those."""
    found = {one.job.id for name in names for one, _ in resolve_parameter(name, views)}
    graph = edges(views, context)
    for view in views:  # in order, so that what is found later reads from what was found before
        if graph[view.job.id] & found:
            found.add(view.job.id)
    return frozenset(found)


def value_of(metric: Metric, context: ContextInfos, watcher: Watcher) -> float:
    """The value of a metric after a trial: a result in the context, or else what a job watched last.

    Raises:
        MetricError: it is missing, or no number.
    """
    head, _, rest = metric.name.partition(".")
    value: Any = None
    labels = [metric.name, *(f"{pipeline}.{metric.name}" for pipeline in context.current)]
    for label in labels:
        try:
            value = context[label]
            break
        except SandboxError:
            continue
    watched = watcher.query(head)
    if value is None or isinstance(value, Mapping | list):
        value = watched.get(rest, value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        there = [f"{head}.{key}" for key, item in watched.items() if isinstance(item, int | float)]
        there += [f"{pipe}.{record.meta_name}.{out}" for pipe, record in context.records() for out in record.outputs]
        what = (
            f"the metric {metric.name!r} is missing"
            if value is None
            else f"the metric {metric.name!r} is {shown(value)}, no number"
        )
        raise MetricError(what, hint="there are: " + ", ".join(there[:40]))
    return float(value)
