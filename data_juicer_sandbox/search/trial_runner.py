"""Run one trial: the jobs that its parameters affect, in a separate folder, using the results of the shared jobs."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from loguru import logger

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.suggestions import nearest_names
from data_juicer_sandbox.config.sweep import Metric, Sweep
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.keys import WatchedKey
from data_juicer_sandbox.engine.job_runner import cause
from data_juicer_sandbox.engine.runner import JobFailed, PipelineRunner, RunContext, TrialPruned
from data_juicer_sandbox.errors import CheckpointError, SandboxError
from data_juicer_sandbox.files import make_folder, move_aside
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.search.controller import COMPLETE, FAILED, PRUNED, UNSCORED, TrialResult, TrialSpec
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import Metrics
from data_juicer_sandbox.watchers.base import flat_values
from data_juicer_sandbox.watchers.local import CONFIG_FILE, FILE, last_values
from data_juicer_sandbox.watchers.watcher import Watcher
from data_juicer_sandbox.workflow.graph import edges
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.overrides import resolve_overrides, resolve_parameter, with_overrides
from data_juicer_sandbox.workflow.planned_job import PlannedJob

FOLDER = "trials"
Report = Callable[[int, float], bool]
"""Takes a step and a value; returns whether the trial should be pruned."""


class MetricError(SandboxError):
    """A trial's metric is not a number."""


class MetricMissing(MetricError):
    """The jobs of a trial finished, and none produced the metric."""


class TrialWatcher(Watcher):
    """A trial's watcher, which also passes the pruner's metric to `report`."""

    name: str | None = None
    report: Report | None = None
    shared: Path | None = None
    _pruning_metric: tuple[str, str] | None = None
    _other_metrics: Mapping[str, None] = MappingProxyType({})

    @property
    def unreported(self) -> tuple[str, ...] | None:
        """The names watched with steps if the pruner's metric is not among them, else None."""
        return None if self.name is None or self._pruning_metric is not None else tuple(self._other_metrics)

    def watch(self, pipeline: str, meta_name: str, values: Mapping[str, object], step: int | None = None) -> None:
        """Record what a job measured.

        Raises:
            TrialPruned: the pruner decided to end the trial.
        """
        super().watch(pipeline, meta_name, values, step)
        if step is None or self.name is None or self.report is None:
            return
        for key, value in flat_values(values):
            name = f"{meta_name}.{key}"
            if self._pruning_metric is None and any(
                fnmatch.fnmatchcase(spelling, self.name) for spelling in (name, f"{pipeline}.{name}")
            ):
                self._pruning_metric = (pipeline, name)  # if several names match a pattern, the first one watched
            if self._pruning_metric is None:
                self._other_metrics = dict.fromkeys([*self._other_metrics, name])
            if (pipeline, name) != self._pruning_metric or not isinstance(value, int | float):
                continue  # a job of another pipeline may have the same name
            if self.report(int(step), float(value)):
                raise TrialPruned(f"{name} is {value:.5g} at step {step}")

    def query(self, meta_name: str, pipeline: str | None = None) -> Metrics:
        """The last values that a job watched: a job of this trial, else a job that all trials share."""
        values = super().query(meta_name, pipeline)
        return values if values or self.shared is None else last_values(self.shared, meta_name, pipeline)


class Trials:
    """Runs trials.

    Args:
        config: the config of the run.
        sweep: the search.
        planned_jobs: all jobs.
        shared: pipeline and record of the jobs that no parameter affects.
        run_context: the context of the run; all trials use its fingerprints, screen and log.
    """

    def __init__(
        self,
        config: SandboxConfig,
        sweep: Sweep,
        planned_jobs: Sequence[PlannedJob],
        shared: Sequence[tuple[str, JobRecord]],
        run_context: RunContext,
    ):
        self.config, self.sweep, self.planned_jobs, self.shared, self.run_context = (
            config,
            sweep,
            planned_jobs,
            shared,
            run_context,
        )
        names = [parameter.name for parameter in sweep.parameters]
        self.affected_ids = affected_job_ids(names, planned_jobs, run_context.context)
        self.watchers = config.watchers
        reports = sweep.reports or (sweep.metrics[0] if sweep.pruner else None)
        self._pruner_pattern = reports.name if reports else None

    def folder(self, spec: TrialSpec) -> Path:
        """The folder of a trial."""
        return Path(self.config.work_dir) / _folder_name(spec)

    def prepare(self, spec: TrialSpec) -> Path:
        """Create a trial's folder; keep the files of a continued trial, move those of another search aside."""
        folder = self.folder(spec)
        if not spec.again and (folder / CONFIG_FILE).exists():
            move_aside(folder)
        make_folder(Path(self.config.work_dir), folder)
        return folder

    def run(self, spec: TrialSpec, report: Report | None) -> TrialResult:
        """Run a trial. An error in it does not raise, but becomes part of the result.

        Args:
            spec: the trial.
            report: called with each intermediate value.
        """
        folder = self.prepare(spec)
        checkpoint = Checkpoint(folder)
        context = self._context(checkpoint)
        watcher = self._watcher(folder, spec, report)
        ran: list[str] = []
        done_before = self._done(context)
        before = sum(record.provenance.seconds or 0.0 for _, record in done_before)
        started = time.monotonic()
        try:
            runner = self._runner(
                spec, replace(self.run_context, context=context, checkpoint=checkpoint, watcher=watcher)
            )
            ran = runner.ran
            runner.execute(runner.plan())
            outcome = TrialResult(
                COMPLETE, tuple(metric_value(metric, context, watcher) for metric in self.sweep.metrics)
            )
        except TrialPruned as stopped:
            logger.info("trial {} is pruned: {}", spec.number, stopped)
            outcome = TrialResult(PRUNED, note=str(stopped))
        except JobFailed as error:
            outcome = TrialResult(FAILED, error=str(error))
        except MetricMissing as error:
            outcome = TrialResult(UNSCORED, error=cause(error))
        except SandboxError as error:
            outcome = TrialResult(FAILED, error=cause(error))
        finally:
            watcher.close()
        try:
            checkpoint.finish(context)
        except CheckpointError as error:
            outcome = TrialResult(FAILED, error=cause(error))
        # In a continued trial, a job that an earlier run finished may have reported the metric.
        unreported = watcher.unreported if outcome.state == COMPLETE and not done_before else None
        seconds = before + time.monotonic() - started
        return replace(outcome, seconds=seconds, ran=tuple(ran), unreported=unreported)

    def outdated(self, spec: TrialSpec) -> str | None:
        """Why the result of a completed trial is out of date: an input or the user's code has changed; else None."""
        checkpoint = Checkpoint(self.folder(spec))
        if not checkpoint.exists():
            return None
        context = self._context(checkpoint)
        steps = self._runner(spec, replace(self.run_context, context=context)).plan()
        reasons = [
            step.reason
            for step in steps
            if step.runs and step.planned_job.job.id in self.affected_ids and step.record is not None
        ]
        # The result stands if only an output has changed: somebody who needs disk space may have deleted it.
        return next((reason for reason in reasons if reason.startswith(("input file ", "code of "))), None)

    def _done(self, context: ContextInfos) -> list[tuple[str, JobRecord]]:
        """The records of the trial's jobs that an earlier run finished."""
        return [item for item in context.records() if self._belongs_to_trial(*item) and item[1].done]

    def _runner(self, spec: TrialSpec, run_context: RunContext) -> PipelineRunner:
        changes, faults = resolve_overrides(
            spec.values, self.planned_jobs, lambda name: self.sweep.where("parameters", name)
        )
        if faults:  # validation checks only the bounds of a range; a value in between may still be wrong
            raise faults[0]
        planned_jobs = with_overrides(self.planned_jobs, changes, self.config.variables)
        trial_jobs = [planned_job for planned_job in planned_jobs if planned_job.job.id in self.affected_ids]
        relocator = PathRelocator.of(
            Path(self.config.work_dir), _folder_name(spec), trial_jobs, frozenset(self.affected_ids)
        )
        quiet = frozenset(planned_job.job.id for planned_job in planned_jobs) - self.affected_ids
        return PipelineRunner(planned_jobs, relocator, run_context, quiet)

    def _context(self, checkpoint: Checkpoint) -> ContextInfos:
        """A context with the shared records and the records that the trial has written so far."""
        try:
            trust = self.run_context.trust_checkpoint
            unfinished = checkpoint.read(trust=trust) if checkpoint.exists() else ContextInfos()
        except CheckpointError as error:
            backup_folder = checkpoint.set_aside()
            logger.warning("the trial starts again; its checkpoint was moved to {}: {}", backup_folder, error)
            unfinished = ContextInfos()
        context = ContextInfos()
        for pipeline, record in (
            *self.shared,
            *(item for item in unfinished.records() if self._belongs_to_trial(*item)),
        ):
            context.put(pipeline, record)
        return context

    def _belongs_to_trial(self, pipeline: str, record: JobRecord) -> bool:
        return f"{pipeline}/{record.provenance.phase}/{record.meta_name}" in self.affected_ids

    def _watcher(self, folder: Path, spec: TrialSpec, report: Report | None) -> TrialWatcher:
        watcher = TrialWatcher.open(
            folder,
            project=self.config.project_name,
            experiment=f"{self.config.experiment_name}-trial_{spec.number}",
            names=self.watchers,
            config={**self.config.content, "parameters": dict(spec.values)},
            group=self.sweep.name or self.config.experiment_name,
        )
        watcher.name, watcher.report = self._pruner_pattern, report
        watcher.shared = Path(self.config.work_dir) / FILE
        return watcher


def _folder_name(spec: TrialSpec) -> str:
    number = spec.number if spec.folder_number is None else spec.folder_number
    return f"{FOLDER}/trial_{number}"


def affected_job_ids(names: Sequence[str], planned_jobs: Sequence[PlannedJob], context: ContextInfos) -> frozenset[str]:
    """The ids of the jobs that parameters change, and of all jobs that depend on those."""
    affected_ids = {planned_job.job.id for name in names for planned_job, _ in resolve_parameter(name, planned_jobs)}
    graph = edges(planned_jobs, context)
    for planned_job in planned_jobs:  # in order, so that dependencies are decided before the jobs that read from them
        if graph[planned_job.job.id] & affected_ids:
            affected_ids.add(planned_job.job.id)
    return frozenset(affected_ids)


def metric_value(metric: Metric, context: ContextInfos, watcher: Watcher) -> float:
    """The value of a metric after a trial: an output in the context, else the last value that a job watched.

    Raises:
        MetricMissing: no job produced it.
        MetricError: it is not a number.
    """
    watched_key = WatchedKey.parse(metric.name)
    value: object = None
    labels = [metric.name, *(f"{pipeline}.{metric.name}" for pipeline in context.current)]
    for label in labels:
        try:
            value = context[label]
            break
        except SandboxError:
            continue
    watched = watcher.query(watched_key.job)
    if value is None or isinstance(value, Mapping | list):
        value = watched.get(watched_key.name, value)
    if not isinstance(value, int | float) or not _is_number(value):
        numbers = [*_watched_names(watched_key.job, watched), *_number_names(context)]
        if value is None:
            hint = nearest_names(metric.name, numbers, what="available")
            raise MetricMissing(f"the metric {metric.name!r} is missing", hint=hint)
        hint = nearest_names(metric.name, numbers, what="numbers")
        raise MetricError(f"the metric {metric.name!r} is {shown(value)}, not a number", hint=hint)
    return float(value)


def _watched_names(job: str, values: Mapping[str, object]) -> list[str]:
    return [f"{job}.{key}" for key, value in values.items() if _is_number(value)]


def _number_names(context: ContextInfos) -> list[str]:
    """The keys of all numbers in the outputs of the jobs."""
    return [
        key
        for pipeline, record in context.records()
        for name, output in record.outputs.items()
        for key, value in flatten({f"{pipeline}.{record.meta_name}.{name}": output})
        if _is_number(value)
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
