"""A training run with transformers' Trainer, and its callbacks: metrics, progress, evaluation on held-out texts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import JobRun, Task, Watching
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.held_out import HeldOut
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject, Metrics

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.trainer import ModelTrainer

_EXCLUDED = ("step_time", "num_tokens", "epoch")


class TrainingDiverged(JobError):
    """A training diverged: its loss is not finite. Resuming from its last checkpoint would not help."""


def reporter(name: str, watcher: Watching, task: Task, tokens_per_step: int | None = None) -> LibraryObject:
    """Create a TrainerCallback that reports `<name>.loss`, `<name>.learning_rate`, `<name>.tokens_per_second` and the
    metrics of the method (`<name>.reward`, `<name>.rewards.margins`, ...), and updates a progress bar. Its `last` holds
    the latest metrics without the speed.

    Each log is the mean since the previous log. The callback logs before each checkpoint and writes no checkpoint after
    the last regular log, so that the final metrics do not depend on where a training was interrupted.

    Args:
        name: name of the model in the metrics.
        watcher: receives the metrics.
        task: progress bar whose total is the number of steps.
        tokens_per_step: tokens of a full batch; None where the trainer counts them (`num_tokens`).

    Raises:
        TrainingDiverged: during training, if the loss is not finite.
    """

    class Reporter(torch_env.transformers().TrainerCallback):  # type: ignore[misc]
        last: dict[str, float]
        tokens: float | None

        def on_train_begin(
            self, args: LibraryObject, state: LibraryObject, control: LibraryObject, **_: object
        ) -> None:
            self.last, self.speed_since = {}, time.monotonic()
            # A trainer that counts tokens itself may restart at 0 after a resumption.
            self.tokens = 0 if not state.global_step else tokens_per_step and state.global_step * tokens_per_step
            task.update(completed=state.global_step)

        def on_step_end(self, args: LibraryObject, state: LibraryObject, control: LibraryObject, **_: object) -> None:
            if state.global_step >= state.max_steps:  # the final model is saved next
                control.should_log = True
            if state.global_step > (state.max_steps - 1) // state.logging_steps * state.logging_steps:
                control.should_save = False
            control.should_log = control.should_log or control.should_save
            task.update(completed=state.global_step)

        def on_log(
            self, args: LibraryObject, state: LibraryObject, control: LibraryObject, logs: Metrics, **_: object
        ) -> None:
            if "loss" not in logs:  # the summary after the last step
                return
            check(name, loss := float(logs["loss"]), state.global_step)
            self.last = figures(logs)
            speed = self._speed(state.global_step, logs)
            watcher.watch({name: self.last | speed}, step=state.global_step)
            reward = f", reward {self.last['reward']:.3f}" if "reward" in self.last else ""
            tokens = "".join(f", {value:,.0f} tokens/s" for value in speed.values())
            task.update(note=f"loss {loss:.3f}{reward}{tokens}")

        def paused(self, seconds: float) -> None:
            """Exclude this many seconds from the speed, since they were not spent on training."""
            self.speed_since += seconds

        def _speed(self, step: int, logs: Metrics) -> dict[str, float]:
            """Tokens per second since the previous log; empty if the number of tokens is unknown."""
            tokens = step * tokens_per_step if tokens_per_step is not None else logs.get("num_tokens")
            previous_tokens, self.tokens = self.tokens, tokens
            started_at, self.speed_since = self.speed_since, time.monotonic()
            if tokens is None or previous_tokens is None:
                return {}
            return {"tokens_per_second": (tokens - previous_tokens) / max(self.speed_since - started_at, 1e-9)}

    return Reporter()


def check(name: str, loss: float, step: int) -> None:
    """Check that the loss is finite.

    Raises:
        TrainingDiverged: the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"training {name} diverged: its loss is {loss} at step {step}",
            hint="a lower learning_rate, or a higher warmup_ratio",
        )


def figures(logs: Metrics) -> dict[str, float]:
    """Convert a trainer's log to metrics: the loss first, dots instead of slashes. Times and counts are excluded, since
    they differ between an interrupted and an uninterrupted training.
    """
    metrics = {"loss": float(logs["loss"])}
    for key, value in logs.items():
        if isinstance(value, int | float) and key not in (*_EXCLUDED, "loss"):
            metrics[key.replace("/", ".")] = float(value)
    return metrics


@dataclass(frozen=True)
class Scoring:
    """Evaluates a model on held-out texts, every few steps.

    Args:
        texts: the held-out texts.
        tokenizer: the model's tokenizer.
        every: steps between two evaluations; the model is also evaluated after the last step.
    """

    texts: HeldOut
    tokenizer: LibraryObject
    every: int

    def watch(self, model: LibraryObject, name: str, step: int, watcher: Watching, task: Task) -> None:
        """Evaluate a model; report `<name>.eval.loss` (nats per token) and `<name>.eval.bits_per_byte`.

        Args:
            model: a causal language model; it is not changed.
            name: name of the model in the metrics.
            step: training step.
            watcher: receives the metrics.
            task: progress bar whose note shows the state.

        Raises:
            TrainingDiverged: the loss is not finite.
            JobError: there are no texts.
        """
        with evaluation_mode(model):
            scores = self.texts.score(model, self.tokenizer, task, "held out")
        check(name, scores["loss"], step)
        task.update(note=f"held out: {scores['bits_per_byte']:.4f} bits per byte")
        watcher.watch({name: {"eval": {key: scores[key] for key in ("loss", "bits_per_byte")}}}, step=step)

    def callback(self, name: str, watcher: Watching, task: Task, report: LibraryObject) -> LibraryObject:
        """Create a TrainerCallback that evaluates the model. An exception of the watcher ends the training.

        A step is evaluated before its checkpoint is written, so that a training resumed there has reported it.

        Args:
            name: name of the model in the metrics.
            watcher: receives the metrics.
            task: progress bar of the training.
            report: reporter of the training; evaluation time does not count as training time.
        """
        scoring = self

        class Scorer(torch_env.transformers().TrainerCallback):  # type: ignore[misc]
            def on_step_end(
                self,
                args: object,
                state: LibraryObject,
                control: LibraryObject,
                model: LibraryObject = None,
                **_: object,
            ) -> None:
                step = state.global_step
                if step % scoring.every == 0 or step >= state.max_steps:
                    started_at = time.monotonic()
                    scoring.watch(model, name, step, watcher, task)
                    report.paused(time.monotonic() - started_at)

        return Scorer()


@contextmanager
def evaluation_mode(model: LibraryObject) -> Iterator[None]:
    """Put a model into evaluation mode, without dropout and autocast; restore its training mode at the end."""
    training_modules = [module for module in model.modules() if module.training]
    autocast_forward = model.__dict__.pop("forward", None)  # accelerate overrides the method of the class with it
    model.eval()
    try:
        yield
    finally:
        if autocast_forward is not None:
            model.forward = autocast_forward
        for module in training_modules:
            module.training = True


LOG_COUNT = 50
"""How often the metrics of one training are logged."""


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


def steps_of(examples: int, batch_size: int) -> int:
    """The number of steps for this many examples."""
    return math.ceil(examples / batch_size)
