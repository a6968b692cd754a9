"""TrainerCallback that reports the metrics and the progress of a training to the job."""

from __future__ import annotations

import math
import time

from data_juicer_sandbox.components.base import Task, Watching
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject, Metrics

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
