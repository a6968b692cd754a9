"""`PipelineRunner`: executes the jobs of one pass in order and writes the checkpoint after each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.config.parallel import Parallel
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.engine.job_runner import cause, failed_record, run_job
from data_juicer_sandbox.engine.planner import Step, make_plan
from data_juicer_sandbox.engine.summary import format_outputs
from data_juicer_sandbox.errors import SandboxError, error_chain
from data_juicer_sandbox.output_guard import OutputLedger
from data_juicer_sandbox.secrets import shorten
from data_juicer_sandbox.terminal.view import FailedJob, SkippedJob, View
from data_juicer_sandbox.types import Variables
from data_juicer_sandbox.watchers.watcher import Watcher
from data_juicer_sandbox.workflow.fingerprints import FingerprintCache, content_of
from data_juicer_sandbox.workflow.job_order import JobOrder, job_order
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import PlannedJob
from data_juicer_sandbox.workflow.resolve import Finished, finished_jobs

if TYPE_CHECKING:
    from data_juicer_sandbox.config.schema import SandboxConfig
    from data_juicer_sandbox.engine.job_cache import JobCache

LOGGED_CHARACTERS = 2000
"""Characters of a job's outputs in the log. The checkpoint contains all of them."""


class JobFailed(SandboxError):
    """A job ended with an error. Finished jobs are kept; the run can be resumed."""

    def __init__(self, label: str, log: Path, cause: str):
        super().__init__(f"job {label!r} failed: {cause}")
        self.label, self.log, self.cause = label, log, cause


class JobsFailed(JobFailed):
    """With `on_error: continue`: jobs failed, and all jobs that do not depend on them have run.

    Args:
        failures: the jobs that failed, at least one.
        skipped: the jobs that did not run since they depend on those.
    """

    def __init__(self, failures: Sequence[FailedJob], skipped: Sequence[SkippedJob]):
        first = failures[0]
        super().__init__(first.label, Path(first.log), first.cause)
        self.failures, self.skipped = tuple(failures), tuple(skipped)
        if len(failures) > 1:
            self.what = f"{len(failures)} jobs failed: {'; '.join(f'{job.label}: {job.cause}' for job in failures)}"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.failures, self.skipped)


class TrialPruned(Exception):
    """A job was stopped because of a reported value; this is not a failure."""


@dataclass(frozen=True)
class RunContext:
    """The state that all iterations or trials of a run share."""

    log: Path
    context: ContextInfos
    checkpoint: Checkpoint
    watcher: Watcher
    screen: View
    variables: Variables
    fingerprints: FingerprintCache = field(default_factory=FingerprintCache)
    config_files: tuple[str, ...] = ()
    ledgers: dict[Path, OutputLedger] = field(default_factory=dict)
    """What the runs of a work directory wrote, by work directory; each ledger is read once."""
    trust_checkpoint: bool = False
    parallel: Parallel = field(default_factory=Parallel)
    debug: bool = False
    on_error: str = "stop"
    cache: JobCache | None = None


def open_cache(config: SandboxConfig) -> JobCache | None:
    """The cache of finished jobs that a config names, if it names one."""
    if config.cache_dir is None:
        return None
    from data_juicer_sandbox.engine.job_cache import JobCache

    return JobCache(Path(config.cache_dir))


class PipelineRunner:
    """Runs all jobs once; the only writer of the context.

    Args:
        planned_jobs: all jobs, in order.
        relocator: relocates their output paths.
        run_context: the state of the run.
        quiet: ids of jobs that are not reported on the screen if they are kept.
    """

    def __init__(
        self,
        planned_jobs: Sequence[PlannedJob],
        relocator: PathRelocator,
        run_context: RunContext,
        quiet: frozenset[str] = frozenset(),
    ):
        self.planned_jobs, self.relocator, self.run_context, self.quiet = planned_jobs, relocator, run_context, quiet
        self.context, self.screen = run_context.context, run_context.screen
        self.ran: list[str] = []
        self.kept: list[str] = []
        self.done: set[str] = set()
        self.failures: list[FailedJob] = []
        self.skipped: list[SkippedJob] = []
        self._unavailable: dict[str, str] = {}
        """The jobs that failed or were skipped, by id, with the label of the job that failed."""
        self.order = [
            (planned_job.job.pipeline, planned_job.job.phase.value, planned_job.job.meta_name)
            for planned_job in planned_jobs
        ]
        self.resumed = any(self.context.records())

    def plan(self, decided: Mapping[str, str] | None = None) -> list[Step]:
        """Plan the jobs from the current state."""
        shared = self.run_context
        return make_plan(
            self.planned_jobs, self.context, shared.fingerprints, shared.variables, self.relocator, decided
        )

    @cached_property
    def job_order(self) -> JobOrder:
        """The order that the jobs must keep."""
        return job_order(self.planned_jobs, self.context, self.relocator, self.run_context.variables)

    def execute(self, steps: list[Step]) -> None:
        """Execute a plan.

        Raises:
            JobFailed: a job failed; the records of jobs that finished before it are kept.
            JobsFailed: with `on_error: continue`, after all other jobs.
        """
        for step in steps:
            logger.info("plan: {} {}: {}", "run " if step.runs else "keep", step.planned_job.job.label, step.reason)
        if self.run_context.on_error == "continue":
            _ = self.job_order  # by the files and records as they are before the run
        self._forget(steps)
        try:
            self._run_steps(steps)
        finally:
            self._arrange()
        if self.failures:
            raise JobsFailed(self.failures, self.skipped)

    def _forget(self, steps: Sequence[Step]) -> None:
        """Drop the records of jobs that will run again: after a crash these jobs must not count as finished."""
        for step in steps:
            if step.runs and not (step.record is not None and step.record.forced):  # such a record says: to be redone
                job = step.planned_job.job
                self.context.drop(job.pipeline, job.phase.value, job.meta_name)

    def _run_steps(self, steps: list[Step]) -> None:
        """Execute each step; if the results of a job differ from its last ones, plan the jobs after it again."""
        finished = finished_jobs()
        pipeline = None
        for index in range(len(steps)):
            step = steps[index]
            job = step.planned_job.job
            if job.pipeline != pipeline:
                pipeline = job.pipeline
                self.screen.pipeline_started(pipeline)
            record = step.record
            if step.runs:
                record = None if self._skip(step) else self._run(step, finished)
                before = step.record
                if record and before and (before.done or before.forced) and differs(before, record):
                    steps[index + 1 :] = self._replan(steps)[index + 1 :]
            elif record is not None:
                self._keep(step, record)
            if record is not None:
                finished.append((job.pipeline, record))

    def _keep(self, step: Step, record: JobRecord) -> None:
        job = step.planned_job.job
        self.kept.append(job.label)
        if job.id not in self.quiet:
            self.screen.job_kept(job.pipeline, job.meta_name, step.reason)

    def _replan(self, steps: Sequence[Step]) -> list[Step]:
        decided = {
            step.planned_job.job.id: step.reason
            for step in steps
            if step.runs and step.planned_job.job.id not in self.done
        }
        fresh = self.plan(decided)
        for old, new in zip(steps, fresh, strict=True):
            if new.runs and not old.runs:
                logger.info("plan: run  {}: {}", new.planned_job.job.label, new.reason)
        self._forget([new for old, new in zip(steps, fresh, strict=True) if new.runs and not old.runs])
        return fresh

    def _skip(self, step: Step) -> bool:
        """Skip a job if it depends on one that failed or was skipped; whether it is skipped."""
        job = step.planned_job.job
        if not self._unavailable or not (failed := self.job_order.reads[job.id] & self._unavailable.keys()):
            return False
        because_of = min(self._unavailable[other] for other in failed)
        self._unavailable[job.id] = because_of
        self.skipped.append(SkippedJob(job.label, because_of))
        logger.info("job {} is skipped: {} failed", job.label, because_of)
        self.screen.job_skipped(job.pipeline, job.meta_name, because_of)
        return True

    def _run(self, step: Step, finished: Finished) -> JobRecord | None:
        """Run a job; None if it failed and the other jobs are to run."""
        job = step.planned_job.job
        started = time.time()
        self.screen.job_started(job.pipeline, job.meta_name, job.hook)
        logger.info("job {} starts ({})", job.label, step.reason)
        try:
            with logger.contextualize(job=job.label):
                record = run_job(
                    step.planned_job,
                    finished,
                    relocator=self.relocator,
                    variables=self.run_context.variables,
                    watcher=self.run_context.watcher,
                    progress=self.screen,
                    fingerprints=self.run_context.fingerprints,
                    ledger=self._ledger(),
                    config_files=self.run_context.config_files,
                    redo=step.record is not None and step.record.forced,
                    cache=self.run_context.cache,
                )
        except Exception as error:
            stopped = _stopped(error)
            if stopped:
                logger.info("job {} is stopped: {}", job.label, stopped)
                raise TrialPruned(str(stopped)) from error  # a new exception: `error` was raised from the old one
            self._job_failed(step, error, started)
            return None
        except KeyboardInterrupt:
            logger.info("interrupted in job {}", job.label)
            raise
        self._job_done(step, record)
        return record

    def _job_failed(self, step: Step, error: Exception, started: float, log: Path | None = None) -> None:
        """Record and show that a job failed.

        Args:
            step: the job.
            error: why.
            started: when it started, in seconds since the epoch.
            log: the log that has the details; that of the run if it does not exist.

        Raises:
            JobFailed: unless the run continues with the jobs that do not depend on it.
        """
        job = step.planned_job.job
        # the traceback goes into the log file only; the terminal shows the cause, and again at the end of the run
        logger.bind(file_only=True).opt(exception=error).error("job {} failed: {}", job.label, cause(error))
        self.screen.job_failed(job.pipeline, job.meta_name, time.time() - started, cause(error))
        self._save(job.pipeline, failed_record(step.planned_job, error, started))
        log = log if log is not None and log.is_file() else self.run_context.log
        if self.run_context.on_error != "continue":
            raise JobFailed(job.label, log, cause(error)) from error
        self.failures.append(FailedJob(job.label, cause(error), str(log)))
        self._unavailable[job.id] = job.label

    def _job_done(self, step: Step, record: JobRecord) -> None:
        """Save and show the record of a job that has run."""
        job = step.planned_job.job
        self._save(job.pipeline, record)
        is_from_cache = record.provenance.cache_key is not None
        (self.kept if is_from_cache else self.ran).append(job.label)
        self.done.add(job.id)
        seconds = record.provenance.seconds or 0.0
        logged_outputs = shorten(repr(record.outputs), LOGGED_CHARACTERS, "…")
        source = "from the cache: " if is_from_cache else ""
        logger.info("job {} done in {} s: {}{}", job.label, seconds, source, logged_outputs)
        self.screen.job_done(job.pipeline, job.meta_name, seconds, source + format_outputs(record.outputs))

    def _ledger(self) -> OutputLedger:
        work_dir, ledgers = self.relocator.work_dir, self.run_context.ledgers
        if work_dir not in ledgers:
            ledgers[work_dir] = OutputLedger(work_dir)
        return ledgers[work_dir]

    def _save(self, pipeline: str, record: JobRecord) -> None:
        self.run_context.watcher.sync()
        self.context.put(pipeline, record)
        checkpoint = self.run_context.checkpoint
        if checkpoint.is_due(self.context):
            self._arrange()
            checkpoint.write(self.context)
        else:
            checkpoint.append(self.context, pipeline, record)

    def _arrange(self) -> None:
        if self.resumed:  # in a new run, records are added in order anyway
            self.context.arrange(self.order)


def _stopped(error: BaseException | None) -> TrialPruned | None:
    """The `TrialPruned` in the chain of an error, if there is one: components may wrap exceptions."""
    return next((link for link in error_chain(error) if isinstance(link, TrialPruned)), None)


def differs(before: JobRecord, now: JobRecord) -> bool:
    """Whether the outputs of two runs of a job differ: in values, or in the content of files."""

    def output_digests(record: JobRecord) -> dict[str, str]:
        return {path: content_of(stamp) for path, stamp in record.provenance.outputs.items()}

    return output_digests(before) != output_digests(now) or repr(before.outputs) != repr(now.outputs)


def runner_class(parallel: Parallel) -> type[PipelineRunner]:
    """The class that runs the jobs of a config."""
    if parallel.backend == "serial":
        return PipelineRunner
    from data_juicer_sandbox.engine.parallel_runner import ParallelRunner

    return ParallelRunner
