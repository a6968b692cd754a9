"""Trains one model in a process of its own: `python -m data_juicer_sandbox.components.train.worker FOLDER`.

FOLDER holds a JSON file for each process that trains the model, named by its rank: the trainer's class and config, the
training task, the job. Each process removes its file after reading. Torch needs fresh processes: a fork of a process
that has used torch may hang or have no GPU. Messages go to standard output (see `worker_protocol`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.processes.handover import take_over
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.worker_protocol import Sender, send
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.plugins import import_object
from data_juicer_sandbox.types import ConfigValues


def main(spec: ConfigValues) -> int:
    """Train; returns the exit status."""
    is_main_process = torch_env.is_main_process()
    logger.remove()
    if is_main_process:
        logger.add(lambda message: send("log", level=message.record["level"].name, text=message.record["message"]))
    sender = Sender() if is_main_process else NullJob()
    job = JobRun(spec["pipeline"], spec["job"], Path(spec["folder"]), sender, sender)
    try:
        trainer = import_object(spec["trainer"])(**spec["config"])
        trainer.train_group(job, [TrainingTask(**spec["training_task"])])
    except SandboxError as error:
        if is_main_process:
            where = f"{error.where}: " if error.where else ""
            send("failed", what=f"{where}{error.what}", hint=error.hint)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(take_over(Path(sys.argv[1], f"{os.environ.get('LOCAL_RANK', '0')}.json"))))
