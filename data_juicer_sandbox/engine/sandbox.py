"""A run: checked, locked, planned, and carried out job by job, the checkpoint written after each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.checks import check
from data_juicer_sandbox.checks.view import JobView
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.lock import locked
from data_juicer_sandbox.engine import offspring
from data_juicer_sandbox.engine.job import cause, failed_record, run_job
from data_juicer_sandbox.engine.plan import Step, make_plan
from data_juicer_sandbox.engine.summary import shown
from data_juicer_sandbox.engine.trace import Stamps
from data_juicer_sandbox.errors import ConfigErrors, SandboxError, WorkDirError
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.watchers.watcher import Watcher

LOG = "sandbox.log"
BESIDE = ("metrics.jsonl", "config.json", "wandb_run.json", "report.html", LOG)
"""What belongs to a run beside its checkpoint, and goes aside with it."""


class JobFailed(SandboxError):
    """A job ended with an error. What is finished is kept; the run can be continued."""

    def __init__(self, label: str, log: Path, cause: str):
        super().__init__(f"job {label!r} failed: {cause}")
        self.label, self.log, self.cause = label, log, cause


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Args:
        context: all outputs.
        ran: labels of the jobs that ran.
        kept: labels of the jobs that were kept.
        seconds: how long it took.
    """

    context: ContextInfos
    ran: tuple[str, ...]
    kept: tuple[str, ...]
    seconds: float


def look(config: SandboxConfig) -> tuple[list[JobView], list[str]]:
    """All jobs of a config, checked, and what is odd about it.

    Raises:
        ConfigErrors: anything is wrong with it.
    """
    findings = check(config)
    if findings.problems:
        raise ConfigErrors(findings.problems)
    return findings.views, [str(warning) for warning in findings.warnings]


def plan(config: SandboxConfig) -> list[Step]:
    """The plan of a run as it would be made now. Changes nothing.

    Raises:
        ConfigErrors: the config is wrong.
        CheckpointError: there is a checkpoint, and it is damaged.
    """
    views, _ = look(config)
    checkpoint = Checkpoint(Path(config.work_dir))
    context = checkpoint.read() if config.resume and checkpoint.exists() else ContextInfos()
    return make_plan(views, context, Stamps(), config.variables)


def run(config: SandboxConfig, screen: View) -> Result:
    """Carry a config out.

    Args:
        config: the run.
        screen: where people see how far it is.

    Raises:
        ConfigErrors: the config is wrong; nothing was touched.
        WorkDirError: the work directory is in use, or cannot be written.
        CheckpointError: the checkpoint is damaged, or could not be written.
        JobFailed: a job did; everything finished before it is kept.
    """
    views, warnings = look(config)
    offspring.bind()
    work_dir = Path(config.work_dir)
    with locked(work_dir):
        return _Run(config, views, work_dir, screen).go(warnings)


class _Run:
    """One run while it lasts; the only writer of its context."""

    def __init__(self, config: SandboxConfig, views: Sequence[JobView], work_dir: Path, screen: View):
        self.config, self.views, self.work_dir, self.screen = config, views, work_dir, screen
        self.checkpoint = Checkpoint(work_dir)
        self.stamps = Stamps()
        self.ran: list[str] = []
        self.kept: list[str] = []
        self.done: set[str] = set()
        self.order = [(view.job.pipeline, view.job.phase.value, view.job.meta_name) for view in views]

    def go(self, warnings: Sequence[str]) -> Result:
        started = time.time()
        self.context = self._start_context()
        self.resumed = any(self.context.records())
        try:
            logs.setup(self.work_dir / LOG, self.config.debug)
            self.watcher = self._open_watcher()
        except OSError as error:
            raise WorkDirError(
                f"the work directory cannot be written: {error.strerror}", where=str(self.work_dir)
            ) from error
        try:
            steps = make_plan(self.views, self.context, self.stamps, self.config.variables)
            for warning in warnings:
                logger.warning(warning)
            self.screen.run_started(len(self.config.pipelines), len(steps))
            for step in steps:
                logger.info("plan: {} {}: {}", "run " if step.runs else "keep", step.view.job.label, step.reason)
            self._forget(steps)
            self._follow(steps)
        finally:
            self.watcher.close()
        return Result(self.context, tuple(self.ran), tuple(self.kept), time.time() - started)

    def _start_context(self) -> ContextInfos:
        if self.config.resume:
            return self.checkpoint.read() if self.checkpoint.exists() else ContextInfos()
        try:
            aside = self.checkpoint.set_aside(*(self.work_dir / name for name in BESIDE))
        except OSError as error:
            raise WorkDirError(
                f"an old run cannot be moved aside: {error.strerror}", where=str(self.work_dir)
            ) from error
        if aside:
            self.screen.message(f"an earlier run was here; its checkpoint, metrics, log and report are now in {aside}")
        return ContextInfos()

    def _open_watcher(self) -> Watcher:
        return Watcher.open(
            self.work_dir,
            project=self.config.project_name,
            experiment=self.config.experiment_name,
            names=self.config.watchers,
            config=self.config.given,
        )

    def _forget(self, steps: Sequence[Step]) -> None:
        """Drop the records of jobs that will run again: after a crash they must not pass for kept ones."""
        for step in steps:
            if step.runs:
                job = step.view.job
                self.context.drop(job.pipeline, job.phase.value, job.meta_name)

    def _follow(self, steps: list[Step]) -> None:
        """Go through the plan; where a job's results are not those it had before, judge the jobs after it anew."""
        finished: list[tuple[str, JobRecord]] = []
        pipeline = None
        for index in range(len(steps)):
            step = steps[index]
            job = step.view.job
            if job.pipeline != pipeline:
                pipeline = job.pipeline
                self.screen.pipeline_started(pipeline)
            if step.runs:
                record = self._run(step, finished)
                if step.record is not None and step.record.done and _differs(step.record, record):
                    steps[index + 1 :] = self._replan(steps)[index + 1 :]
            elif step.record is not None:
                record = step.record
                self.kept.append(job.label)
                self.screen.job_kept(job.pipeline, job.meta_name, step.reason)
            finished.append((job.pipeline, record))

    def _replan(self, steps: Sequence[Step]) -> list[Step]:
        decided = {step.view.job.id: step.reason for step in steps if step.runs and step.view.job.id not in self.done}
        fresh = make_plan(self.views, self.context, self.stamps, self.config.variables, decided)
        for old, new in zip(steps, fresh, strict=True):
            if new.runs and not old.runs:
                logger.info("plan: run  {}: {}", new.view.job.label, new.reason)
        self._forget([new for old, new in zip(steps, fresh, strict=True) if new.runs and not old.runs])
        return fresh

    def _run(self, step: Step, finished: Sequence[tuple[str, JobRecord]]) -> JobRecord:
        job = step.view.job
        started = time.time()
        self.screen.job_started(job.pipeline, job.meta_name, job.hook)
        logger.info("job {} starts ({})", job.label, step.reason)
        try:
            with logger.contextualize(job=job.label):
                record = run_job(
                    step.view,
                    finished,
                    work_dir=self.work_dir,
                    variables=self.config.variables,
                    watcher=self.watcher,
                    progress=self.screen,
                    stamps=self.stamps,
                )
        except Exception as error:
            # with its traceback, into the file; the terminal gets the cause, at the end of the run once more
            logger.bind(file_only=True).opt(exception=error).error("job {} failed: {}", job.label, cause(error))
            self.screen.job_failed(job.pipeline, job.meta_name, time.time() - started, cause(error))
            self._save(job.pipeline, failed_record(step.view, error, started))
            raise JobFailed(job.label, self.work_dir / LOG, cause(error)) from error
        except KeyboardInterrupt:
            logger.info("interrupted in job {}", job.label)
            raise
        self._save(job.pipeline, record)
        self.ran.append(job.label)
        self.done.add(job.id)
        logger.info("job {} done in {} s: {}", job.label, record.job["seconds"], record.outputs)
        self.screen.job_done(job.pipeline, job.meta_name, record.job["seconds"], shown(record.outputs))
        return record

    def _save(self, pipeline: str, record: JobRecord) -> None:
        self.watcher.sync()
        self.context.put(pipeline, record)
        if self.resumed:  # if not, records come in order anyway
            self.context.arrange(self.order)
        self.checkpoint.write(self.context)


def _differs(before: JobRecord, now: JobRecord) -> bool:
    """Whether a job put out something else than last time: other values, or files of other content."""

    def left(record: JobRecord) -> dict[str, Any]:
        return {path: stamp[2] for path, stamp in record.job["trace"]["outputs"].items()}

    return left(before) != left(now) or repr(before.outputs) != repr(now.outputs)
