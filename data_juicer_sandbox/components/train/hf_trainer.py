"""Training with transformers' Trainer, for all methods: its arguments, the training run, saving the model."""

from __future__ import annotations

import inspect
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.train import saved
from data_juicer_sandbox.components.train.callbacks import reporter
from data_juicer_sandbox.components.train.checkpoints import KEPT, Checkpoints
from data_juicer_sandbox.components.train.eval_callback import Scoring
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.trainer import ModelTrainer

LOG_COUNT = 50
"""How often the metrics of one training are logged."""

OVERRIDABLE = {
    "lr_scheduler_type": "cosine",
    "dataloader_pin_memory": False,
}
"""Defaults that `training_args` may override."""


def arguments(
    arguments_class: LibraryObject, trainer: ModelTrainer, seed: int, folder: Path, **overrides: object
) -> LibraryObject:
    """Create the training arguments of a Trainer.

    Args:
        arguments_class: `TrainingArguments` or a subclass.
        trainer: the component, whose parameters are used.
        seed: seed of the data order and of dropout.
        folder: folder of the checkpoints.
        overrides: more arguments; they override those set here.
    """
    device_batch_size, accumulation_steps = trainer.per_device()
    on_cpu = torch_env.device() == "cpu"
    component_arguments = {
        "output_dir": str(folder),
        "save_strategy": "steps",
        "save_total_limit": KEPT,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
        "num_train_epochs": 1,
        "per_device_train_batch_size": device_batch_size,
        "gradient_accumulation_steps": accumulation_steps,
        "learning_rate": trainer.learning_rate,
        "weight_decay": trainer.weight_decay,
        "max_grad_norm": trainer.max_grad_norm,
        "use_cpu": on_cpu,
        **({"ddp_backend": "gloo"} if on_cpu and "WORLD_SIZE" in os.environ else {}),
        "ddp_find_unused_parameters": False,
        "bf16": torch_env.precision(trainer.precision) == "bfloat16",
        "seed": seed,
        **overrides,
    }
    accepted = inspect.signature(arguments_class).parameters
    user_arguments = {**OVERRIDABLE, **(trainer.training_args or {})}
    # trl turns gradient checkpointing on by default, which saves memory but costs time
    if (checkpointing := accepted.get("gradient_checkpointing")) and checkpointing.default:
        user_arguments.setdefault("gradient_checkpointing", False)
    try:
        training_arguments = arguments_class(**{**user_arguments, **component_arguments})
    except (TypeError, ValueError) as error:
        user_keys = ", ".join(trainer.training_args or ()) or "none"
        raise JobError(
            f"{arguments_class.__name__} rejects its arguments: {error}", hint=f"training_args: {user_keys}"
        ) from error
    training_arguments._n_gpu = min(training_arguments.n_gpu, 1)  # with more, DataParallel would multiply the batch
    return training_arguments


def run(
    trainer: LibraryObject,
    job: JobRun,
    name: str,
    steps: int,
    config: ModelTrainer,
    checkpoints: Checkpoints,
    tokens_per_step: int | None = None,
    scoring: Scoring | None = None,
) -> dict[str, float]:
    """Train, resuming from the last checkpoint if one exists; returns the final metrics.

    Args:
        trainer: a Trainer with its data and model.
        job: the running job.
        name: name of the model.
        steps: total number of steps.
        config: the component, whose parameters are used.
        checkpoints: checkpoints to resume from and to write during training.
        tokens_per_step: tokens of a full batch; None where batches differ.
        scoring: evaluation on held-out texts during training.

    Raises:
        JobError: the trainer stopped before the last step, so that the budget would not be what is recorded.
    """
    trainer.args.warmup_steps = round(config.warmup_ratio * steps)
    trainer.args.logging_steps = max(1, steps // LOG_COUNT)
    trainer.args.save_steps = config.save_steps
    trainer.remove_callback(torch_env.transformers().PrinterCallback)
    last = checkpoints.last()
    if last:
        logger.info("{} resumes from step {} of {}", name, int(last.name.rpartition("-")[2]), steps)
    with job.progress.task(f"training {name}", total=steps) as task:
        report = reporter(name, job.watcher, task, tokens_per_step)
        trainer.add_callback(report)
        if scoring and torch_env.is_main_process():  # the other processes wait at the next gradient reduction
            trainer.add_callback(scoring.callback(name, job.watcher, task, report))
        trainer.add_callback(checkpoints.marker())
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.state.global_step != steps:
        raise JobError(f"{name} was trained for {trainer.state.global_step} steps, not for the {steps} of its budget")
    return dict(report.last)


def save(
    model: LibraryObject, tokenizer: LibraryObject, folder: Path, name: str, merge: bool, batch: saved.Sample
) -> None:
    """Save a trained model and its tokenizer, then load the saved model and compare the two.

    Saving the same model gives the same bytes. With several processes, only the main process compares.

    Args:
        model: the model; it is moved to the CPU.
        tokenizer: the model's tokenizer.
        folder: folder to save into.
        name: name of the model.
        merge: whether to merge adapters into the weights; otherwise only the adapters are saved.
        batch: training examples on which the two models are compared.

    Raises:
        JobError: the saved model differs from the trained model.
    """
    model.to("cpu")
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    dtype = base.dtype
    expected = saved.logits(model, batch) if torch_env.is_main_process() else None
    if merged := merge and hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    adapter = folder / "adapter_config.json"
    if adapter.exists():  # peft writes sets as lists in arbitrary order
        content = json.loads(adapter.read_text(encoding="utf-8"))
        if isinstance(modules := content.get("target_modules"), list):
            content["target_modules"] = sorted(modules)
        adapter.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    mode = next(folder.glob("*config.json")).stat().st_mode
    for weights in folder.glob("*.safetensors"):  # safetensors makes them readable for the owner only
        weights.chmod(mode)
    if expected is not None:
        saved.check(folder, name, expected, batch, dtype, merged=merged)


def steps_of(examples: int, batch_size: int) -> int:
    """The number of steps for this many examples."""
    return math.ceil(examples / batch_size)
