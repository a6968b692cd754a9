"""Launches training workers: one or more fresh processes per model, each model with its own CPU threads or GPUs."""

from __future__ import annotations

import os
import sys
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import asdict
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import JobRun, Task
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.processes.handover import hand_over, private_folder
from data_juicer_sandbox.components.processes.hardware import visible_gpus
from data_juicer_sandbox.components.processes.program import Program
from data_juicer_sandbox.components.train.parameters import TrainingTask
from data_juicer_sandbox.components.train.worker import Receiver
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import ConfigValues

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.trainer import ModelTrainer

WORKER = "data_juicer_sandbox.components.train.worker"
LOGGED = 2000


def train_all(
    job: JobRun, trainer: ModelTrainer, training_tasks: list[TrainingTask], parallel: int, models: Task
) -> None:
    """Train all models, `parallel` at a time. If one fails or the run is interrupted, all workers are stopped;
    their checkpoints remain.

    Args:
        job: the running job.
        trainer: the trainer.
        training_tasks: the models.
        parallel: the number of models that train at a time.
        models: the progress bar that counts trained models.

    Raises:
        JobError: a training failed; the error names the model.
    """
    gpus = _gpus()
    if gpus and trainer.num_processes > len(gpus):
        raise JobError(f"num_processes is {trainer.num_processes}, but there are {len(gpus)} GPUs")
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(parallel):
        slots.put(slot)
    stopping, programs = Event(), [Program(_argv(trainer.num_processes)) for _ in training_tasks]

    def train(training_task: TrainingTask, program: Program) -> None:
        slot = slots.get()
        try:
            if not stopping.is_set():
                program.env = _environment(gpus, slot, trainer.num_processes)
                with private_folder(job.folder) as folder:
                    for rank in range(trainer.num_processes):  # each process removes its file
                        hand_over(folder / f"{rank}.json", _spec(job, trainer, training_task))
                    program.argv.append(str(folder))
                    _train(job, training_task, program, stopping)
                    models.advance(1)
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(parallel) as pool:
        futures: list[Future[None]] = []
        try:
            futures += [pool.submit(train, *arguments) for arguments in zip(training_tasks, programs, strict=True)]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            stopping.set()
            for program in programs:
                program.stop()


def _train(job: JobRun, training_task: TrainingTask, program: Program, stopping: Event) -> None:
    with ExitStack() as stack:
        receiver = Receiver(job, stack)
        try:
            for line in stack.enter_context(closing(program.run())):
                if stopping.is_set():
                    return
                if line.error or not receiver.take(line.text):
                    logger.debug("{}: {}", training_task.name, program.masked(line.text)[:LOGGED])
        except JobError as error:
            if stopping.is_set():  # stopped because another training failed
                return
            failure = receiver.error or error
            context = (
                "" if receiver.error and training_task.name in failure.what else f"training {training_task.name}: "
            )
            raise JobError(f"{context}{failure.what}", hint=failure.hint) from error


def _spec(job: JobRun, trainer: ModelTrainer, training_task: TrainingTask) -> ConfigValues:
    trainer_class = type(trainer)
    return {
        "trainer": f"{trainer_class.__module__}:{trainer_class.__qualname__}",
        "config": trainer.config(),
        "training_task": asdict(training_task),
        "pipeline": job.pipeline,
        "job": job.name,
        "folder": str(job.folder),
    }


def _argv(num_processes: int) -> list[str]:
    """The command that starts the worker processes of one model, without its last argument, the folder of specs."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes), "-m"]
    return [sys.executable, "-m", *(torchrun if num_processes > 1 else []), WORKER]


def _environment(gpus: list[str], slot: int, num_processes: int) -> dict[str, str]:
    """Environment variables of a worker: the module path, for dotted paths in configs, the GPUs of its slot, and how
    idle OpenMP threads wait: if they spun, several processes on a busy machine would take the cores from each other.
    """
    variables = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    variables["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    if gpus:
        slot_gpus = [gpus[(slot * num_processes + rank) % len(gpus)] for rank in range(num_processes)]
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(slot_gpus)
    return variables


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if torch_env.device() == "cpu":
        return []
    return visible_gpus(torch_env.torch().cuda.device_count())
