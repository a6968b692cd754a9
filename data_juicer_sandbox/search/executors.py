"""Parallel trials: worker processes execute trials, the parent process owns the study."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.code_policy import code_policy, is_untrusted
from data_juicer_sandbox.components.processes import orphan_guard
from data_juicer_sandbox.components.processes.hardware import core_numbers, visible_gpus
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.engine.runner import RunContext, open_cache
from data_juicer_sandbox.interruption import interruptible
from data_juicer_sandbox.search.artifacts import SearchArtifacts
from data_juicer_sandbox.search.controller import FAILED, SearchController, TrialResult, TrialSpec
from data_juicer_sandbox.search.progress import record_result
from data_juicer_sandbox.search.trial_runner import Trials
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.streams import surviving_outputs

GRACE = 20.0
"""Seconds that a worker has to end its job cleanly before it is killed."""


@dataclass
class Worker:
    """A process that runs trials; `trial` is the one in progress."""

    process: BaseProcess
    pipe: Connection
    trial: TrialSpec | None = None


def run_in_workers(
    config: SandboxConfig,
    controller: SearchController,
    trials: Trials,
    run_context: RunContext,
    artifacts: SearchArtifacts,
) -> None:
    """Run trials in `n_jobs` processes until the controller returns no more."""
    count = controller.sweep.n_jobs
    workers: dict[int, Worker] = {}
    done = 0
    total = (
        controller.limit - len([trial for trial in controller.trials() if trial.state.is_finished()])
        if controller.limit
        else None
    )
    try:
        with run_context.screen.task("trial", total=total) as bar:
            while True:
                for worker_number in range(count):
                    if worker_number not in workers or workers[worker_number].trial is None:
                        _assign(
                            controller.ask(),
                            worker_number,
                            workers,
                            partial(_start_worker, config, trials, worker_number, count),
                        )
                busy = [worker for worker in workers.values() if worker.trial is not None]
                if not busy:
                    return
                ready = wait([worker.pipe for worker in busy])
                for worker in (busy_worker for busy_worker in busy if busy_worker.pipe in ready):
                    outcome = _receive(worker, controller)
                    if outcome is not None and worker.trial is not None:
                        done += 1
                        bar.update(completed=done)
                        spec, worker.trial = worker.trial, None
                        record_result(controller, spec, outcome, run_context, artifacts)
    finally:
        _stop_workers(list(workers.values()))


def _assign(
    spec: TrialSpec | None, worker_number: int, workers: dict[int, Worker], start: Callable[[], Worker]
) -> None:
    """Send a trial to a worker; start the worker if it does not exist or has died."""
    if spec is None:
        return
    if worker_number not in workers or not workers[worker_number].process.is_alive():
        workers[worker_number] = start()
    workers[worker_number].trial = spec
    logger.info("trial {} starts in worker {}: {}", spec.number, worker_number, dict(spec.values))
    with suppress(OSError):  # if the worker has just died, `_receive` gets an EOFError and reports the failure
        workers[worker_number].pipe.send(spec)


def _receive(worker: Worker, controller: SearchController) -> TrialResult | None:
    """Receive a worker's message; return the result of its trial if the trial has ended."""
    spec = worker.trial
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(GRACE)
        code = worker.process.exitcode
        ending = f"by signal {-code} ({signal.Signals(-code).name})" if code and code < 0 else f"with exit code {code}"
        return TrialResult(FAILED, error=f"the process of this trial ended {ending}; was there enough memory?")
    if isinstance(message, TrialResult):
        return message
    step, value = message
    if spec is not None:
        with suppress(OSError):
            worker.pipe.send(controller.report(spec.number, step, value))
    return None


def _start_worker(config: SandboxConfig, trials: Trials, worker_number: int, count: int) -> Worker:
    """Start a worker with its share of the cores and GPUs."""
    parent_pipe, worker_pipe = multiprocessing.get_context("spawn").Pipe()
    cores = core_share(worker_number, count)
    settings = {"OMP_NUM_THREADS": str(len(cores)), **gpu_environment(worker_number)}
    records = [(pipeline, record.plain()) for pipeline, record in trials.shared]
    trust = trials.run_context.trust_checkpoint
    arguments = (worker_pipe, config, trials.sweep, records, cores, trust, is_untrusted())
    process = multiprocessing.get_context("spawn").Process(
        target=_worker_main, args=arguments, name=f"trials-{worker_number}"
    )
    with _environment(settings):
        process.start()
    worker_pipe.close()
    return Worker(process, parent_pipe)


def core_share(worker_number: int, count: int) -> list[int]:
    """The cores of one of `count` workers: every `count`-th core, or one core in turn if there are too few."""
    cores = core_numbers()
    return cores[worker_number::count] if count <= len(cores) else [cores[worker_number % len(cores)]]


def gpu_environment(worker_number: int) -> dict[str, str]:
    """The environment variable that gives a worker one GPU, in turn, of those this process may use."""
    gpus = visible_gpus()
    return {"CUDA_VISIBLE_DEVICES": gpus[worker_number % len(gpus)]} if gpus else {}


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes started in the block, since libraries read them when loaded."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _stop_workers(workers: list[Worker]) -> None:
    """Close the pipes of idle workers, terminate the busy ones, and kill those that do not end within `GRACE`."""
    for worker in workers:
        if worker.trial is not None and worker.process.is_alive():
            worker.process.terminate()
        worker.pipe.close()
    for worker in workers:
        worker.process.join(GRACE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _worker_main(
    pipe: Connection,
    config: SandboxConfig,
    sweep: Sweep,
    records: Sequence[tuple[str, object]],
    cores: list[int],
    trust_checkpoint: bool,
    untrusted: bool,
) -> None:
    """The main function of a worker process: receive a trial, run it, send its result."""
    parent = multiprocessing.parent_process()
    orphan_guard.exit_with_parent(parent.pid if parent and parent.pid else 1)
    orphan_guard.install()
    os.sched_setaffinity(0, cores)
    logs.show_warnings_only()
    with code_policy(untrusted=untrusted), surviving_outputs(restore=False), interruptible():
        try:
            trials = worker_trials(config, sweep, records, trust_checkpoint)
            while True:
                spec = pipe.recv()
                pipe.send(_run_trial(trials, spec, pipe))
        except (EOFError, BrokenPipeError, KeyboardInterrupt):
            pass  # no more trials; the next run continues an unfinished one


def _run_trial(trials: Trials, spec: TrialSpec, pipe: Connection) -> TrialResult:
    def report(step: int, value: float) -> bool:
        pipe.send((step, value))
        return bool(pipe.recv())

    folder = trials.prepare(spec)
    logs.setup(folder / logs.FILE, False)
    trials.run_context = replace(trials.run_context, log=folder / logs.FILE)
    try:
        return trials.run(spec, report)
    finally:
        logs.close()


def worker_trials(
    config: SandboxConfig, sweep: Sweep, records: Sequence[tuple[str, object]], trust_checkpoint: bool
) -> Trials:
    """The trials of a run, in a process that runs some of them.

    Args:
        config: the config of the run.
        sweep: its search.
        records: pipeline and plain record of the jobs that all trials share.
        trust_checkpoint: whether checkpoints of earlier versions may be read.
    """
    from data_juicer_sandbox.context.checkpoint import Checkpoint
    from data_juicer_sandbox.context.infos import ContextInfos
    from data_juicer_sandbox.terminal.plain_view import PlainView
    from data_juicer_sandbox.validation import validated_jobs
    from data_juicer_sandbox.watchers.watcher import Watcher

    planned_jobs, _ = validated_jobs(config)
    shared = []
    context = ContextInfos()
    for pipeline, plain in records:
        record = JobRecord.from_plain(plain)
        shared.append((pipeline, record))
        context.put(pipeline, record)
    work_dir = Path(config.work_dir)
    silent = PlainView(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    nowhere = Watcher({}, work_dir / "metrics.jsonl")
    run_context = RunContext(
        work_dir / logs.FILE,
        context,
        Checkpoint(work_dir),
        nowhere,
        silent,
        config.variables,
        config_files=config.files,
        trust_checkpoint=trust_checkpoint,
        cache=open_cache(config),
    )
    return Trials(config, sweep, planned_jobs, shared, run_context)
