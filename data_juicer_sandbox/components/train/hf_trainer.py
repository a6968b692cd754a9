"""Training as transformers' Trainer does it, for all methods: its arguments, its run, the saving of what comes out."""

from __future__ import annotations

import inspect
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.train import saved
from data_juicer_sandbox.components.train.callbacks import reporter
from data_juicer_sandbox.components.train.checkpoints import KEPT, Checkpoints
from data_juicer_sandbox.components.train.eval_callback import Scoring
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.trainer import ModelTrainer

SHOWN = 50
"""Times the metrics are watched per model."""

_DEFAULTS = {
    "lr_scheduler_type": "cosine",
    "dataloader_pin_memory": False,
}
"""What a user may want to have otherwise."""


def arguments(kind: Any, given: ModelTrainer, seed: int, folder: Path, **own: Any) -> Any:
    """The arguments of a Trainer.

    Args:
        kind: `TrainingArguments`, or a class made from it.
        given: the parameters.
        seed: of the order of the data, and of dropout.
        folder: of the checkpoints.
        own: more of them; they go before those here.

    Raises:
        ConfigError: `training_args` names one that is not there, or that the component itself sets.
    """
    at_once, times = given.per_device()
    on_cpu = torch_env.device() == "cpu"
    ours = {
        "output_dir": str(folder),
        "save_strategy": "steps",
        "save_total_limit": KEPT,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
        "num_train_epochs": 1,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": times,
        "learning_rate": given.learning_rate,
        "weight_decay": given.weight_decay,
        "max_grad_norm": given.max_grad_norm,
        "use_cpu": on_cpu,
        **({"ddp_backend": "gloo"} if on_cpu and "WORLD_SIZE" in os.environ else {}),
        "ddp_find_unused_parameters": False,
        "bf16": torch_env.precision(given.precision) == "bfloat16",
        "seed": seed,
        **own,
    }
    known = inspect.signature(kind).parameters
    wished = {**_DEFAULTS, **(given.training_args or {})}
    if (checkpointing := known.get("gradient_checkpointing")) and checkpointing.default:  # trl saves memory, not time
        wished.setdefault("gradient_checkpointing", False)
    for key in wished:
        if key in ours or key in ("warmup_steps", "logging_steps", "save_steps"):
            raise ConfigError(f"training_args cannot set {key}", hint="parameters of the component decide it")
        if key not in known:
            raise ConfigError(f"{kind.__name__} takes no {key!r}", hint=suggest(key, known))
    made = kind(**{**wished, **ours})
    made._n_gpu = min(made.n_gpu, 1)  # more than one would be split over (DataParallel), and scale the batch
    return made


def run(
    trainer: Any,
    job: JobRun,
    name: str,
    steps: int,
    given: ModelTrainer,
    checkpoints: Checkpoints,
    tokens_per_step: int | None = None,
    scoring: Scoring | None = None,
) -> dict[str, float]:
    """Train, from the last checkpoint on if there is one; returns the last figures.

    Args:
        trainer: a Trainer, its data and model set.
        job: where it happens.
        name: the model's.
        steps: in all.
        given: the parameters.
        checkpoints: where to go on from, and to save on the way.
        tokens_per_step: of a full batch, where that is fixed.
        scoring: of the model on texts that are held out, on the way.
    """
    trainer.args.warmup_steps = round(given.warmup_ratio * steps)
    trainer.args.logging_steps = max(1, steps // SHOWN)
    trainer.args.save_steps = given.save_steps
    trainer.remove_callback(torch_env.transformers().PrinterCallback)
    last = checkpoints.last()
    if last:
        logger.info("{} goes on from step {} of {}", name, int(last.name.rpartition("-")[2]), steps)
    with job.progress.task(f"training {name}", total=steps) as task:
        report = reporter(name, job.watcher, task, tokens_per_step)
        trainer.add_callback(report)
        if scoring and torch_env.is_main_process():  # the others wait for it when they next add up gradients
            trainer.add_callback(scoring.callback(name, job.watcher, task, report))
        trainer.add_callback(checkpoints.marker())
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    return dict(report.last)


def save(model: Any, tokenizer: Any, folder: Path, name: str, merge: bool, batch: saved.Sample) -> None:
    """Save a trained model, its adapters merged into it or alone, with its tokenizer; load it, and compare the two.

    What is saved of the same model has the same bytes. Of processes that train together the leading one compares.

    Args:
        model: the model; it is moved to the CPU.
        tokenizer: its tokenizer.
        folder: where it goes.
        name: the model's.
        merge: whether adapters are merged.
        batch: training examples to compare on.

    Raises:
        JobError: the saved model is not the one that was trained.
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
    if adapter.exists():  # peft writes sets as lists, in any order
        content = json.loads(adapter.read_text(encoding="utf-8"))
        if isinstance(modules := content.get("target_modules"), list):
            content["target_modules"] = sorted(modules)
        adapter.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    mode = next(folder.glob("*config.json")).stat().st_mode
    for weights in folder.glob("*.safetensors"):  # written for their owner alone
        weights.chmod(mode)
    if expected is not None:
        saved.check(folder, name, expected, batch, dtype, merged=merged)


def steps_of(examples: int, batch_size: int) -> int:
    """Steps that so many examples take."""
    return math.ceil(examples / batch_size)
