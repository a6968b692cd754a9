"""How a model in training does on texts that are held out, told on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from data_juicer_sandbox.components.base import Task, Watching
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.held_out import HeldOut
from data_juicer_sandbox.components.train.callbacks import check


@dataclass(frozen=True)
class Scoring:
    """When a model is scored, and on what.

    Args:
        texts: those held out.
        tokenizer: the model's.
        every: steps from one time to the next; there is one after the last step too.
    """

    texts: HeldOut
    tokenizer: Any
    every: int

    def watch(self, model: Any, name: str, step: int, watcher: Watching, task: Task) -> None:
        """Score a model; watch `<name>.eval.loss` (nats per token) and `<name>.eval.bits_per_byte`.

        Args:
            model: a causal language model; it is left as it was.
            name: what the model is called in the metrics.
            step: of its training.
            watcher: where metrics go.
            task: a bar whose note tells of the work.

        Raises:
            BrokeDown: the loss is no finite number.
            JobError: there is no text.
        """
        with as_it_is(model):
            found = self.texts.score(model, self.tokenizer, task, "held out")
        check(name, found["loss"], step)
        task.update(note=f"held out: {found['bits_per_byte']:.4f} bits per byte")
        watcher.watch({name: {"eval": {key: found[key] for key in ("loss", "bits_per_byte")}}}, step=step)

    def callback(self, name: str, watcher: Watching, task: Task, report: Any) -> Any:
        """A TrainerCallback that does it. What the watcher raises ends the training.

        A step's scoring comes before its checkpoint, so that a training that goes on from there has told of it.

        Args:
            name: what the model is called in the metrics.
            watcher: where metrics go.
            task: the training's bar.
            report: the training's reporter; the time taken is none of its training.
        """
        scoring = self

        class Scorer(torch_env.transformers().TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
                step = state.global_step
                if step % scoring.every == 0 or step >= state.max_steps:
                    begun = time.monotonic()
                    scoring.watch(model, name, step, watcher, task)
                    report.paused(time.monotonic() - begun)

        return Scorer()


@contextmanager
def as_it_is(model: Any) -> Iterator[None]:
    """A model in training as one that is evaluated: without dropout, and in the precision of its weights; then as it
    was before.
    """
    training = [module for module in model.modules() if module.training]
    autocast = vars(model).pop("forward", None)  # accelerate puts it over the method of the class
    model.eval()
    try:
        yield
    finally:
        if autocast is not None:
            model.forward = autocast
        for module in training:
            module.training = True
