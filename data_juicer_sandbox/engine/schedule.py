"""`Schedule`: what a plan would gain from running jobs side by side: waves, and the longest chain of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.engine.planner import Step
from data_juicer_sandbox.terminal.view import duration
from data_juicer_sandbox.types import Variables
from data_juicer_sandbox.workflow.job_order import job_order
from data_juicer_sandbox.workflow.output_paths import PathRelocator

_MAX_NAMES = 3
"""Labels of jobs that a cell names."""
_MAX_CHAIN = 12
"""Labels of jobs that the line of the critical path names."""


@dataclass(frozen=True)
class Schedule:
    """When the jobs of a plan can run, if jobs run side by side.

    Args:
        waves: for each job that runs, by position, the number of its wave, from 1: the jobs of a wave can run at the
            same time. None for a job that is kept, or comes from the cache.
        waits: for each job, the labels of the jobs that it waits for without reading from them.
        critical_path: the labels of the longest chain of jobs that wait for each other.
        seconds: the duration of this chain and of all jobs, by their last runs; None if a job has not run yet.
        n_jobs: the number of jobs that run.
    """

    waves: tuple[int | None, ...]
    waits: tuple[tuple[str, ...], ...]
    critical_path: tuple[str, ...]
    seconds: tuple[float, float] | None
    n_jobs: int

    def __str__(self) -> str:
        """The critical path: `critical path: a -> b (12 min 00 s of 31 min 10 s)`."""
        labels = list(self.critical_path)
        if len(labels) > _MAX_CHAIN:
            half = _MAX_CHAIN // 2
            labels[half:-half] = [f"({len(labels) - 2 * half} more)"]
        length = f"{len(self.critical_path)} of {self.n_jobs} jobs"
        if self.seconds is not None:
            length = " of ".join(map(duration, self.seconds))
        return f"critical path: {' -> '.join(labels)} ({length})"


def make_schedule(steps: Sequence[Step], relocator: PathRelocator, variables: Variables) -> Schedule:
    """The schedule of a plan.

    Args:
        steps: the plan.
        relocator: the relocator of the output paths.
        variables: values of `${...}`.
    """
    context = ContextInfos()
    for step in steps:
        if step.record is not None:
            context.put(step.planned_job.job.pipeline, step.record)
    order = job_order([step.planned_job for step in steps], context, relocator, variables)
    ids = [step.planned_job.job.id for step in steps]
    labels = {step.planned_job.job.id: step.label for step in steps}
    runs = {step.planned_job.job.id for step in steps if _takes_time(step)}
    seconds = _recorded_seconds(steps)
    waves: dict[str, int] = {}
    chains: dict[str, tuple[float, str | None]] = {}
    """For each job: the length of the longest chain that ends with it, and the job before it in this chain."""
    for job_id in ids:
        waits = order.waits[job_id]
        waves[job_id] = max((waves[other] for other in waits), default=0) + (job_id in runs)
        before = max(sorted(waits), key=lambda other: chains[other][0], default=None)
        length = (chains[before][0] if before else 0.0) + (seconds[job_id] if seconds else 1.0) * (job_id in runs)
        chains[job_id] = length, before
    path: list[str] = []
    last = max(ids, key=lambda job_id: chains[job_id][0], default=None)
    total = chains[last][0] if last else 0.0
    while last is not None:
        path += [labels[last]] * (last in runs)
        last = chains[last][1]
    return Schedule(
        tuple(waves[job_id] if job_id in runs else None for job_id in ids),
        tuple(
            _named({labels[other] for other in order.waits[job_id]} - set(step.reads))
            for job_id, step in zip(ids, steps, strict=True)
        ),
        tuple(reversed(path)),
        (total, sum(seconds[job_id] for job_id in runs)) if seconds else None,
        len(runs),
    )


def _takes_time(step: Step) -> bool:
    """Whether a job runs: it is neither kept, nor do its results come from the cache."""
    return step.runs and not step.cached


def _recorded_seconds(steps: Sequence[Step]) -> dict[str, float] | None:
    """The durations of the last runs of the jobs that run, by id; None if one has not succeeded yet."""
    seconds = {}
    for step in steps:
        if _takes_time(step) and (
            step.record is None or not step.record.done or step.record.provenance.seconds is None
        ):
            return None
        seconds[step.planned_job.job.id] = (step.record.provenance.seconds or 0.0) if step.record else 0.0
    return seconds


def _named(labels: set[str]) -> tuple[str, ...]:
    names = sorted(labels)
    return (*names[:_MAX_NAMES], f"{len(names) - _MAX_NAMES} more") if len(names) > _MAX_NAMES else tuple(names)
