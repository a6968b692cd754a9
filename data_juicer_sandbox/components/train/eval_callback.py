"""Evaluation on held-out texts during training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from data_juicer_sandbox.components.base import Task, Watching
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.held_out import HeldOut
from data_juicer_sandbox.components.train.callbacks import check
from data_juicer_sandbox.types import LibraryObject


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
