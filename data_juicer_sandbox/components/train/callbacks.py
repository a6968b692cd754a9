"""What transformers' Trainer tells while it trains, passed on to the job's watcher and progress."""

from __future__ import annotations

import math
import time
from typing import Any

from data_juicer_sandbox.components.base import Task, Watching
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError

_LEFT_OUT = ("step_time", "num_tokens", "epoch")


class BrokeDown(JobError):
    """A training whose loss is no longer a number. To go on from its last checkpoint is of no use."""


def reporter(name: str, watcher: Watching, task: Task, tokens_per_step: int | None = None) -> Any:
    """A TrainerCallback that watches `<name>.loss`, `<name>.learning_rate`, `<name>.tokens_per_second` and what else
    the method tells (`<name>.reward`, `<name>.rewards.margins`, ...), and moves a bar. Its `last` is the last set
    without the speed.

    What is logged is the mean since the log before. Before each checkpoint there is a log, and no checkpoint after the
    last regular log, so that the last figures are the same wherever a training was broken off.

    Args:
        name: what the model is called in the metrics.
        watcher: where metrics go.
        task: a bar whose total is the number of steps.
        tokens_per_step: of a full batch; None where the trainer itself counts them (`num_tokens`).

    Raises:
        BrokeDown: while training, when the loss is no longer a finite number.
    """

    class Reporter(torch_env.transformers().TrainerCallback):  # type: ignore[misc]
        last: dict[str, float]
        tokens: float | None

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.last, self.when = {}, time.monotonic()
            # A trainer that counts by itself may count from 0 again after a resumption.
            self.tokens = 0 if not state.global_step else tokens_per_step and state.global_step * tokens_per_step
            task.update(completed=state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step >= state.max_steps:  # the model itself is saved next
                control.should_log = True
            if state.global_step > (state.max_steps - 1) // state.logging_steps * state.logging_steps:
                control.should_save = False
            control.should_log = control.should_log or control.should_save
            task.update(completed=state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
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
            """Leave so much time out of the speed: it was not spent on training."""
            self.when += seconds

        def _speed(self, step: int, logs: dict[str, Any]) -> dict[str, float]:
            """Tokens per second since the log before, where that can be told."""
            counted = step * tokens_per_step if tokens_per_step is not None else logs.get("num_tokens")
            before, self.tokens = self.tokens, counted
            begun, self.when = self.when, time.monotonic()
            if counted is None or before is None:
                return {}
            return {"tokens_per_second": (counted - before) / max(self.when - begun, 1e-9)}

    return Reporter()


def check(name: str, loss: float, step: int) -> None:
    """See that a training still works.

    Raises:
        BrokeDown: the loss is no longer a finite number.
    """
    if not math.isfinite(loss):
        raise BrokeDown(
            f"training {name} broke down: its loss is {loss} at step {step}",
            hint="a lower learning_rate, or a higher warmup_ratio",
        )


def figures(logs: dict[str, Any]) -> dict[str, float]:
    """What a trainer logged, as metrics: the loss first, dots for slashes; without times and counts, which a broken-off
    training and one that was not would tell differently.
    """
    found = {"loss": float(logs["loss"])}
    for key, value in logs.items():
        if isinstance(value, int | float) and key not in (*_LEFT_OUT, "loss"):
            found[key.replace("/", ".")] = float(value)
    return found
