"""Trials on a cluster: each one is a task of a parallel backend; this process owns the study."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.config.parallel import Resources
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.engine.runner import RunContext
from data_juicer_sandbox.files import open_regular
from data_juicer_sandbox.parallel.backend import Backend, Submission, open_backend
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.search.artifacts import SearchArtifacts
from data_juicer_sandbox.search.controller import FAILED, SearchController, TrialResult, TrialSpec
from data_juicer_sandbox.search.progress import record_result
from data_juicer_sandbox.search.trial_runner import Trials
from data_juicer_sandbox.search.trial_worker import PRUNE, REPORTS, TrialTask, read_result
from data_juicer_sandbox.terminal.view import RunState, TaskState
from data_juicer_sandbox.watchers.base import from_json

WORKER = "data_juicer_sandbox.search.trial_worker"
FOLDER = "jobs/.trial"
"""The folder of the task, in the folder of the trial. No job writes there: a pipeline's name has no dot."""
POLL = 0.5


@dataclass
class _Running:
    """A trial in progress.

    Args:
        spec: the trial.
        submission: how it was submitted.
        submitted: when, in seconds since the epoch.
        is_submitted: whether the backend has it; not if an earlier run left its result.
        position: the bytes of its reports that were read.
        note: its last intermediate value.
    """

    spec: TrialSpec
    submission: Submission
    submitted: float
    is_submitted: bool
    position: int = 0
    note: str = ""


def run_on_backend(
    config: SandboxConfig,
    controller: SearchController,
    trials: Trials,
    run_context: RunContext,
    artifacts: SearchArtifacts,
) -> None:
    """Run trials on the backend of the config until the controller returns no more.

    At most `n_jobs` trials run at the same time, or `max_workers` if that is 1: a sampler learns from trials that
    have ended, so more of them at a time means worse proposals.

    Raises:
        JobError: the backend cannot run trials.
    """
    limit = controller.sweep.n_jobs if controller.sweep.n_jobs > 1 else (config.parallel.max_workers or 1)
    resources = _resources(config, trials)
    running: dict[Path, _Running] = {}
    with closing(open_backend(config.parallel)) as backend:
        backend.check([("a trial", resources)], Path(config.work_dir).absolute())
        while True:
            while len(running) < limit and (spec := controller.ask()) is not None:
                _submit(spec, config, trials, resources, backend, running)
            if not running:
                return
            for outcome in _ended(backend, running):
                trial = running.pop(outcome.path)
                _report(trial, controller)
                record_result(controller, trial.spec, outcome.result, run_context, artifacts)
                shutil.rmtree(outcome.path, ignore_errors=True)
            for trial in running.values():
                _report(trial, controller)
            run_context.screen.running(_state(backend, running))


@dataclass(frozen=True)
class _Outcome:
    """The result of a trial that has ended, and the folder of its task."""

    path: Path
    result: TrialResult


def _submit(
    spec: TrialSpec,
    config: SandboxConfig,
    trials: Trials,
    resources: Resources,
    backend: Backend,
    running: dict[Path, _Running],
) -> None:
    folder = trials.prepare(spec).absolute() / FOLDER
    trust = trials.run_context.trust_checkpoint
    task = TrialTask.of(spec, config, trials.shared, trust=trust, untrusted=is_untrusted())
    submission = Submission(folder, f"trial {spec.number}", resources, WORKER)
    running[folder] = _Running(spec, submission, time.time(), is_submitted=task.write(folder))
    logger.info("trial {} is submitted: {}", spec.number, dict(spec.values))
    if running[folder].is_submitted:
        backend.submit([submission])


def _ended(backend: Backend, running: dict[Path, _Running]) -> list[_Outcome]:
    """The trials that have ended; also those that ended while no run was waiting for them.

    Not as soon as a result is there: the backend still holds the task then.
    """
    reasons = {path: "" for path, trial in running.items() if not trial.is_submitted}
    reasons.update({ended.folder: ended.reason for ended in backend.wait(0.0 if reasons else POLL)})
    outcomes = []
    for path, reason in reasons.items():
        result = read_result(path)
        if result is None:
            result = TrialResult(FAILED, error=f"the process of this trial {reason or 'ended without a result'}")
        outcomes.append(_Outcome(path, result))
    return outcomes


def _report(trial: _Running, controller: SearchController) -> None:
    """Pass the new intermediate values of a trial to the pruner, and tell the trial if it is to end."""
    path = trial.submission.folder / REPORTS
    try:
        with open_regular(path) as stream:
            stream.seek(trial.position)
            lines, end, _ = stream.read().rpartition(b"\n")
    except OSError:
        return
    trial.position += len(lines) + len(end)
    for line in lines.splitlines():
        report = loads(line)
        step, value = report["step"], from_json(report["value"])
        trial.note = f"{value:.5g} at step {step}"
        if controller.report(trial.spec.number, step, value):
            (trial.submission.folder / PRUNE).touch()


def _resources(config: SandboxConfig, trials: Trials) -> Resources:
    """What a trial needs: for each resource the most that one of its jobs needs, since these run one by one."""
    jobs = [job for job in config.jobs() if job.id in trials.affected_ids]
    needed = [job.resources.over(config.parallel.resources) for job in jobs]
    values = {
        part.name: max((value for job in needed if (value := getattr(job, part.name)) is not None), default=None)
        for part in fields(Resources)
    }
    minutes = [job.minutes for job in needed]
    values["minutes"] = None if None in minutes else sum(filter(None, minutes))
    return Resources(**values)


def _state(backend: Backend, running: dict[Path, _Running]) -> RunState:
    tasks = [
        TaskState(trial.submission.label, backend.where(path), trial.submitted, note=trial.note)
        for path, trial in running.items()
    ]
    return RunState(tuple(tasks), 0, 0, 0, len(tasks))
