"""`ParallelRunner`: runs the jobs that do not depend on each other side by side, and the items within a job too.

Only this process writes the context. Each job is one task, or several: one that lists its items, one for each item, and
one that combines their results (`components.base.FanOut`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.config.parallel import Resources
from data_juicer_sandbox.config.schema import Job
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.engine.job_runner import finish_job, name_outputs, prepare_job
from data_juicer_sandbox.engine.planner import Step
from data_juicer_sandbox.engine.runner import PipelineRunner, differs
from data_juicer_sandbox.engine.running_jobs import ReadyJobs, RunningJob, RunningTask, item_folder
from data_juicer_sandbox.parallel.backend import Backend, Ended, Submission, open_backend
from data_juicer_sandbox.parallel.tasks import LOG, Result, Task, TaskError, TaskFolder
from data_juicer_sandbox.terminal.view import RunState, TaskState
from data_juicer_sandbox.types import LibraryObject, Metrics
from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.workflow.fingerprints import content_of
from data_juicer_sandbox.workflow.resolve import Finished, finished_jobs

Restored = dict[str, LibraryObject] | None
FOLDER = "tasks"
"""The folder of a job's tasks, in the folder of the job."""
POLL = 0.25
"""Seconds to wait for the end of a task."""
SHOW_EVERY = 1.0
"""Seconds between two updates of the progress."""
QUEUED = "queued"


class ParallelRunner(PipelineRunner):
    """Runs all jobs once, side by side where their order leaves it open.

    Results, files and the order of the records are those of `PipelineRunner`.
    """

    _backend: Backend

    def execute(self, steps: list[Step]) -> None:
        """Execute a plan; the errors are those of `PipelineRunner`."""
        _ = self.job_order  # by the files and records as they are before the run
        super().execute(steps)

    def _run_steps(self, steps: list[Step]) -> None:
        if not any(step.runs for step in steps):
            super()._run_steps(steps)
            return
        self._steps = steps
        self._records: dict[int, JobRecord] = {}
        self._begun: set[int] = set()
        self._tasks: dict[Path, RunningTask] = {}
        self._shown = 0.0
        positions = {step.planned_job.job.id: index for index, step in enumerate(steps)}
        waits = self.job_order.waits
        self._waiting = ReadyJobs({positions[job]: {positions[other] for other in waits[job]} for job in positions})
        try:
            with closing(open_backend(self.run_context.parallel)) as self._backend:
                running = [step.planned_job.job for step in steps if step.runs]
                needed = [(job.label, self._resources(job)) for job in running]
                self._backend.check(needed, self.relocator.work_dir.absolute())
                self.screen.message(self._backend.describe())
                self._run_all()
        finally:
            for task in self._tasks.values():
                task.running_job.prepared.guard.settle(completed=False)

    def _run_all(self) -> None:
        ready = self._waiting.take_ready()
        while ready or self._tasks:
            for index in ready:
                self._begin(index)
            ready = self._waiting.take_ready()
            if not ready and self._tasks:
                for ended in self._backend.wait(POLL):
                    self._task_ended(ended)
                self._show()
                ready = self._waiting.take_ready()

    def _begin(self, index: int) -> None:
        """Submit a job, or keep its record."""
        step = self._steps[index]
        self._begun.add(index)
        if not step.runs and step.record is not None:
            self._keep(step, step.record)
            self._records[index] = step.record
            self._waiting.ended(index)
            return
        if self._skip(step):
            self._waiting.ended(index)
            return
        logger.info("job {} starts ({})", step.label, step.reason)
        started, shared = time.time(), self.run_context
        prepared = None
        try:
            prepared = prepare_job(
                step.planned_job,
                self._finished_before(index),
                relocator=self.relocator,
                variables=shared.variables,
                watcher=shared.watcher,
                fingerprints=shared.fingerprints,
                ledger=self._ledger(),
                config_files=shared.config_files,
                redo=step.record is not None and step.record.forced,
                cache=shared.cache,
            )
            outputs = prepared.restored()
        except Exception as error:
            if prepared is not None:
                prepared.guard.settle(completed=False)
            self._job_failed(step, error, started)
            self._waiting.ended(index)
            return
        if outputs is not None:
            self._finish(RunningJob(index, prepared), (), restored=outputs)
        else:
            self._submit(RunningJob(index, prepared), ["job"])

    def _finished_before(self, index: int) -> Finished:
        """The records that a job may read: those of the jobs before it, in order."""
        records = [
            (self._steps[position].planned_job.job.pipeline, record)
            for position in range(index)
            if (record := self._records.get(position)) is not None
        ]
        if not self._steps[index].planned_job.job.input:
            return records
        finished = finished_jobs()  # finds them by name
        for item in records:
            finished.append(item)
        return finished

    def _resources(self, job: Job) -> Resources:
        return job.resources.over(self.run_context.parallel.resources)

    def _submit(self, running_job: RunningJob, names: Sequence[str], mode: str = "job") -> None:
        """Submit tasks of a job; those whose folder has a result already are done at once.

        Args:
            running_job: the job.
            names: the items; the mode for a task of the whole job.
            mode: `job`, `item` or `collect`.
        """
        cpus = {item.name: item.cpus for item in running_job.items}
        tasks: list[RunningTask] = []
        done: list[RunningTask] = []
        for name in names:
            resources = self._resources(running_job.job)
            if mode == "item" and resources.cpus is None:
                resources = replace(resources, cpus=cpus[name])
            if mode == "collect":
                resources = replace(resources, gpus=0)
            task = self._task(running_job, mode, name if mode == "item" else "")
            path = running_job.prepared.folder.absolute() / FOLDER / (item_folder(name) if mode == "item" else mode)
            label = running_job.job.label + (f": {name}" if mode == "item" else "")
            folder = TaskFolder(path)
            running = RunningTask(running_job, task, folder, Submission(path, label, resources), time.time())
            try:
                (tasks if folder.prepare(task) else done).append(running)
            except TaskError as error:
                self._fail(running_job, error)
                return
        for running in tasks:
            self._tasks[running.submission.folder] = running
        self._backend.submit([running.submission for running in tasks])
        for running in done:
            logger.info("{}: finished in an earlier run", running.submission.label)
            self._task_succeeded(running, running.folder.result() or Result())

    def _task(self, running_job: RunningJob, mode: str, item: str) -> Task:
        prepared, shared = running_job.prepared, self.run_context
        resolved = prepared.resolved
        digests = {path: content_of(stamp) for path, stamp in prepared.fingerprints.items() if stamp}
        return Task(
            mode=mode,  # type: ignore[arg-type]
            job=running_job.job,
            dj_configs=resolved.dj_configs,
            extra_configs=resolved.extra_configs,
            folder=str(prepared.folder),  # as in a serial run, since results may name files in it
            root=str(self.relocator.root),
            work_dir=str(self.relocator.work_dir),
            inputs=prepared.guard.inputs,
            metrics=(str(self.relocator.work_dir / local.FILE),),
            item=item,
            results={part.name: running_job.results[part.name] for part in running_job.items if mode == "collect"},
            digests={**digests, **prepared.code},
            untrusted=is_untrusted(),
            debug=shared.debug,
            cwd=str(Path.cwd()),
            path=tuple(entry or os.curdir for entry in sys.path),
            python_path=os.environ.get("PYTHONPATH"),
            redo=prepared.redo,
        )

    def _task_ended(self, ended: Ended) -> None:
        running = self._tasks.pop(ended.folder, None)
        if running is None:
            return
        if (result := running.folder.result()) is not None:
            self._task_succeeded(running, result)
            return
        self._forward(running)
        failure = running.folder.failure()
        if failure is None:  # a worker that has ended by itself has done it
            running.folder.mask_log()
        text = failure if failure is not None else f"its process {ended.reason or 'ended without a result'}"
        label = running.submission.label
        if running.attempts <= self.run_context.parallel.retries:
            logger.warning("{} failed and is started again: {}", label, text)
            running.folder.clear_failure()
            running.folder.clear_reports()
            if running.task.mode == "job":  # what the other items of a job have reported stays valid
                self._forget_metrics(running.running_job)
            again = replace(running, attempts=running.attempts + 1, submitted=time.time())
            self._tasks[again.submission.folder] = again
            self._backend.submit([again.submission])
            return
        item = running.task.item
        is_named = not item or (failure is not None and item in failure)
        log = running.running_job.prepared.folder / FOLDER / running.folder.path.name / LOG
        self._fail(running.running_job, TaskError(text if is_named else f"{item}: {text}"), log)

    def _fail(self, running_job: RunningJob, error: Exception, log: Path | None = None) -> None:
        """End the other tasks of a job, and record that it failed."""
        others = [path for path, task in self._tasks.items() if task.running_job is running_job]
        self._backend.cancel(others)
        for path in others:
            del self._tasks[path]
        running_job.prepared.guard.settle(completed=False)
        self._job_failed(self._steps[running_job.index], error, running_job.prepared.started, log)
        self._waiting.ended(running_job.index)

    def _task_succeeded(self, running: RunningTask, result: Result) -> None:
        running_job, mode = running.running_job, running.task.mode
        running_job.code.update(result.code)
        running_job.started = min(running_job.started, result.started)
        if running_job.prepared.recorder is not None:
            running_job.prepared.recorder.has_read |= result.has_read
        self._forward(running)
        if mode == "job" and result.items:
            running_job.items = result.items
            logger.info("job {} has {} items", running_job.job.label, len(result.items))
            self._submit(running_job, [item.name for item in result.items], "item")
        elif mode == "item":
            running_job.results[running.task.item] = result.value
            if len(running_job.results) == len(running_job.items):
                self._submit(running_job, ["collect"], "collect")
        else:
            self._finish(running_job, result.value)

    def _finish(self, running_job: RunningJob, values: Sequence[LibraryObject], *, restored: Restored = None) -> None:
        """Record a job.

        Args:
            running_job: the job.
            values: its outputs in order.
            restored: its outputs by name, if they came from the cache.
        """
        index, prepared, fingerprints = running_job.index, running_job.prepared, self.run_context.fingerprints
        step = self._steps[index]
        self._show_started(running_job)
        try:
            with logger.contextualize(job=running_job.job.label):
                if restored is not None:
                    record = finish_job(prepared, restored, fingerprints, is_from_cache=True)
                else:
                    ran = replace(prepared, code={**prepared.code, **running_job.code}, started=running_job.started)
                    outputs = name_outputs(prepared.planned_job, tuple(values))
                    record = finish_job(ran, outputs, fingerprints)
        except Exception as error:
            self._fail(running_job, error)
            return
        self._job_done(step, record)
        self._records[index] = record
        for path in (prepared.folder / FOLDER).glob("*"):
            TaskFolder(path).discard()
        before = step.record
        if before is not None and (before.done or before.forced) and differs(before, record):
            for later, fresh in enumerate(self._replan(self._steps)):
                if later not in self._begun:
                    self._steps[later] = fresh
        self._waiting.ended(index)

    def _forward(self, running: RunningTask) -> None:
        """Pass on what a task has reported."""
        job, watcher = running.running_job.job, self.run_context.watcher
        recorder = running.running_job.prepared.recorder

        def record(values: Metrics, step: int | None, moment: float) -> None:
            watcher.forward(job.pipeline, job.meta_name, values, step, moment)
            if recorder is not None:
                recorder.metrics.append((step, values))

        running.streams.forward(job.label, record)

    def _forget_metrics(self, running_job: RunningJob) -> None:
        """The metrics of a job's earlier attempt do not count any more."""
        prepared, job = running_job.prepared, running_job.job
        configs = {"dj_configs": prepared.resolved.dj_configs, "extra_configs": prepared.resolved.extra_configs}
        self.run_context.watcher.start(job.pipeline, job.meta_name, configs)
        if prepared.recorder is not None:
            prepared.recorder.metrics.clear()

    def _show_started(self, running_job: RunningJob) -> None:
        if not running_job.is_shown:
            running_job.is_shown = True
            job = running_job.job
            self.screen.job_started(job.pipeline, job.meta_name, job.hook)

    def _show(self) -> None:
        """Pass on what the running tasks have reported, and show their state."""
        if time.monotonic() - self._shown < SHOW_EVERY:
            return
        self._shown = time.monotonic()
        states = []
        for running in self._tasks.values():
            where = self._backend.where(running.submission.folder)
            progress = {}
            if where != QUEUED:
                self._show_started(running.running_job)
                self._forward(running)
                progress = running.streams.progress()
            states.append(TaskState(running.submission.label, where, running.submitted, **progress))
        n_jobs = len({running.running_job.index for running in self._tasks.values()})
        done, failed, total = len(self._records), len(self._unavailable), len(self._steps)
        state = RunState(tuple(states), total - n_jobs - done - failed, done, failed, total)
        self.screen.running(state)

    def _arrange(self) -> None:
        self.context.arrange(self.order)  # jobs end in any order
