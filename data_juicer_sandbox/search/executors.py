"""Parallel trials: worker processes execute trials, the parent process owns the study."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.components.processes import orphan_guard
from data_juicer_sandbox.components.processes.gpus import visible_gpus
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.engine.interruption import interruptible
from data_juicer_sandbox.engine.runner import RunContext
from data_juicer_sandbox.search.artifacts import SearchArtifacts
from data_juicer_sandbox.search.controller import FAILED, SearchController, TrialResult, TrialSpec
from data_juicer_sandbox.search.progress import settle
from data_juicer_sandbox.search.trial_runner import Trials
from data_juicer_sandbox.terminal.streams import surviving_outputs

GRACE = 20.0
"""Seconds that a worker has to end its job in good order."""


@dataclass
class Worker:
    """A process that carries out trials."""

    process: Any
    pipe: Connection
    given: TrialSpec | None = None


def side_by_side(
    config: SandboxConfig,
    controller: SearchController,
    trials: Trials,
    run_context: RunContext,
    artifacts: SearchArtifacts,
) -> None:
    """Carry out trials in `n_jobs` processes until the controller has no more of them."""
    count = controller.sweep.n_jobs
    workers: dict[int, Worker] = {}
    done = 0
    total = (
        controller.limit - len([one for one in controller.trials() if one.state.is_finished()])
        if controller.limit
        else None
    )
    try:
        with run_context.screen.task("trials", total=total) as bar:
            while True:
                for place in range(count):
                    if place not in workers or workers[place].given is None:
                        _give(controller.ask(), place, workers, partial(_start, config, trials, place, count))
                busy = [worker for worker in workers.values() if worker.given is not None]
                if not busy:
                    return
                ready = wait([worker.pipe for worker in busy])
                for worker in (one for one in busy if one.pipe in ready):
                    outcome = _heard(worker, controller)
                    if outcome is not None and worker.given is not None:
                        done += 1
                        bar.update(completed=done)
                        given, worker.given = worker.given, None
                        settle(controller, given, outcome, run_context, artifacts)
    finally:
        _end(list(workers.values()))


def _give(given: TrialSpec | None, place: int, workers: dict[int, Worker], start: Callable[[], Worker]) -> None:
    """Hand a trial to the worker of a place; where there is none, or it has died, to a new one."""
    if given is None:
        return
    if place not in workers or not workers[place].process.is_alive():
        workers[place] = start()
    workers[place].given = given
    logger.info("trial {} starts in worker {}: {}", given.number, place, dict(given.values))
    with suppress(OSError):  # it has died just now: nothing will be heard of it either, and that is seen
        workers[place].pipe.send(given)


def _heard(worker: Worker, controller: SearchController) -> TrialResult | None:
    """Take a worker's message; returns how its trial came out, if it has."""
    given = worker.given
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(GRACE)
        code = worker.process.exitcode
        how = f"by signal {-code} ({signal.Signals(-code).name})" if code and code < 0 else f"with exit code {code}"
        return TrialResult(FAILED, error=f"the process of this trial ended {how}; was there enough memory?")
    if isinstance(message, TrialResult):
        return message
    step, value = message
    if given is not None:
        with suppress(OSError):
            worker.pipe.send(controller.report(given.number, step, value))
    return None


def _start(config: SandboxConfig, trials: Trials, place: int, count: int) -> Worker:
    """Start a worker with its share of the machine."""
    mine, its = multiprocessing.get_context("spawn").Pipe()
    cores = share(place, count)
    settings = {"OMP_NUM_THREADS": str(len(cores)), **gpu(place)}
    records = [(pipeline, record.plain()) for pipeline, record in trials.shared]
    arguments = (its, config, trials.sweep, records, cores)
    process = multiprocessing.get_context("spawn").Process(target=_work, args=arguments, name=f"trials-{place}")
    with _environment(settings):
        process.start()
    its.close()
    return Worker(process, mine)


def share(place: int, count: int) -> list[int]:
    """The cores of one of so many workers: a part of those there are, or one in turn where they are too few."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[place::count] if count <= len(cores) else [cores[place % len(cores)]]


def gpu(place: int) -> dict[str, str]:
    """The GPU that a worker sees: one in turn of those this process may use."""
    gpus = visible_gpus()
    return {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} if gpus else {}


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Variables that a process started in the block has from its first moment: libraries read them when loaded."""
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


def _end(workers: list[Worker]) -> None:
    """Let the idle ones go; ask the others to end, and then make them."""
    for worker in workers:
        if worker.given is not None and worker.process.is_alive():
            worker.process.terminate()
        worker.pipe.close()
    for worker in workers:
        worker.process.join(GRACE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(pipe: Connection, config: SandboxConfig, sweep: Sweep, records: list[Any], cores: list[int]) -> None:
    """A worker's life: take a trial, carry it out, tell how it came out."""
    parent = multiprocessing.parent_process()
    orphan_guard.exit_with_parent(parent.pid if parent and parent.pid else 1)
    orphan_guard.install()
    os.sched_setaffinity(0, cores)
    with surviving_outputs(restore=False), interruptible():
        try:
            trials = _trials(config, sweep, records)
            while True:
                given = pipe.recv()
                pipe.send(_carry_out(trials, given, pipe))
        except (EOFError, BrokenPipeError, KeyboardInterrupt):
            pass  # no more trials; what was begun stays as it is, and is continued by the next run


def _carry_out(trials: Trials, given: TrialSpec, pipe: Connection) -> TrialResult:
    from data_juicer_sandbox.terminal import logs

    def report(step: int, value: float) -> bool:
        pipe.send((step, value))
        return bool(pipe.recv())

    folder = trials.prepare(given)
    logs.setup(folder / logs.FILE, False)
    trials.run_context = replace(trials.run_context, log=folder / logs.FILE)
    try:
        return trials.run(given, report)
    finally:
        logs.close()


def _trials(config: SandboxConfig, sweep: Sweep, records: list[Any]) -> Trials:
    from data_juicer_sandbox.context.checkpoint import Checkpoint
    from data_juicer_sandbox.context.infos import BOOKKEEPING, ContextInfos
    from data_juicer_sandbox.terminal import logs
    from data_juicer_sandbox.terminal.plain_view import PlainView
    from data_juicer_sandbox.validation import validated_jobs
    from data_juicer_sandbox.watchers.watcher import Watcher

    views, _ = validated_jobs(config)
    shared = []
    context = ContextInfos()
    for pipeline, plain in records:
        outputs = {key: value for key, value in plain.items() if key not in ("meta_name", BOOKKEEPING)}
        record = JobRecord(plain["meta_name"], outputs, plain[BOOKKEEPING])
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
    )
    return Trials(config, sweep, views, shared, run_context)
