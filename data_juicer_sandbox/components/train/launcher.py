"""Models trained side by side, each in a fresh process (or several, for one model), with threads or GPUs of its own."""

from __future__ import annotations

import os
import sys
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import asdict
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.processes.handover import hand_over, private_folder
from data_juicer_sandbox.components.processes.program import Program
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.worker_protocol import Receiver
from data_juicer_sandbox.errors import JobError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.trainer import ModelTrainer

WORKER = "data_juicer_sandbox.components.train.worker"
LOGGED = 2000


def train_all(job: JobRun, trainer: ModelTrainer, orders: list[TrainingTask]) -> None:
    """Train all models, `max_parallel` at a time. When one fails, or the run is broken off, all are ended; what they
    have saved on the way stays.

    Raises:
        JobError: one failed; names it.
    """
    visible = _gpus()
    if visible and trainer.num_processes > len(visible):
        raise JobError(f"num_processes is {trainer.num_processes}, but there are {len(visible)} GPUs")
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(trainer.max_parallel):
        slots.put(slot)
    over, programs = Event(), [Program(_argv(trainer.num_processes)) for _ in orders]

    def train(order: TrainingTask, program: Program) -> None:
        slot = slots.get()
        try:
            if not over.is_set():
                program.env = _environment(visible, slot, trainer.num_processes)
                with private_folder(job.folder) as folder:
                    for rank in range(trainer.num_processes):  # a file for each, which removes it
                        hand_over(folder / f"{rank}.json", _spec(job, trainer, order))
                    program.argv.append(str(folder))
                    _train(job, order, program, over)
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(trainer.max_parallel) as pool:
        futures: list[Future[None]] = []
        try:
            futures += [pool.submit(train, *one) for one in zip(orders, programs, strict=True)]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            over.set()
            for program in programs:
                program.stop()


def _train(job: JobRun, order: TrainingTask, program: Program, over: Event) -> None:
    with ExitStack() as stack:
        receiver = Receiver(job, stack)
        try:
            for line in stack.enter_context(closing(program.run())):
                if over.is_set():
                    return
                if line.error or not receiver.take(line.text):
                    logger.debug("{}: {}", order.name, program.masked(line.text)[:LOGGED])
        except JobError as error:
            if over.is_set():  # ended since another one failed
                return
            if said := receiver.error:
                text = said.what if order.name in said.what else f"training {order.name}: {said.what}"
                raise JobError(text, hint=said.hint) from error
            raise JobError(f"training {order.name}: {error.what}", hint=error.hint) from error


def _spec(job: JobRun, trainer: ModelTrainer, order: TrainingTask) -> dict[str, Any]:
    kind = type(trainer)
    return {
        "trainer": f"{kind.__module__}:{kind.__qualname__}",
        "config": trainer.config(),
        "order": asdict(order),
        "pipeline": job.pipeline,
        "job": job.name,
        "folder": str(job.folder),
    }


def _argv(together: int) -> list[str]:
    """The command of a worker, or of several that train one model; the folder with their specs comes last."""
    several = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(together), "-m"] if together > 1 else []
    return [sys.executable, "-m", *several, WORKER]


def _environment(visible: list[str], slot: int, each: int) -> dict[str, str]:
    """Variables of a worker: this process's module path, for what configs name by dotted paths; its GPUs, in turn."""
    found = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if visible:
        own = [visible[(slot * each + number) % len(visible)] for number in range(each)]
        found["CUDA_VISIBLE_DEVICES"] = ",".join(own)
    return found


def _gpus() -> list[str]:
    """The GPUs that this process may use, as the variable names them."""
    if torch_env.device() == "cpu":
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(number) for number in range(torch_env.torch().cuda.device_count())]
