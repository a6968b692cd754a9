"""What transformers' Trainer tells while it trains, passed on to the job's watcher and progress."""

from __future__ import annotations

import math
import time
from typing import Any

from data_juicer_sandbox.components import compute
from data_juicer_sandbox.components.base import Task, Watching
from data_juicer_sandbox.errors import JobError


def reporter(name: str, watcher: Watching, task: Task, tokens_per_step: int) -> Any:
    """A TrainerCallback that watches loss and learning rate as `<name>.loss`, `<name>.learning_rate` and moves a bar.

    Args:
        name: what the model is called in the metrics.
        watcher: where metrics go.
        task: a bar whose total is the number of steps.
        tokens_per_step: of a full batch, for the tokens per second in the bar's note.

    Raises:
        JobError: while training, when the loss is no longer a finite number.
    """

    class Reporter(compute.transformers().TrainerCallback):  # type: ignore[misc]
        last: dict[str, float]

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.last, self.begun = {}, time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_log = control.should_log or state.global_step == state.max_steps
            task.update(completed=state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
            if "loss" not in logs:  # the summary after the last step
                return
            if not math.isfinite(loss := float(logs["loss"])):
                raise JobError(
                    f"training {name} broke down: its loss is {loss} at step {state.global_step}",
                    hint="a lower learning_rate, or a higher warmup_ratio",
                )
            self.last = {"loss": loss, "learning_rate": float(logs["learning_rate"])}
            watcher.watch({name: self.last}, step=state.global_step)
            speed = state.global_step * tokens_per_step / max(time.monotonic() - self.begun, 1e-9)
            task.update(note=f"loss {loss:.3f}, {speed:,.0f} tokens/s")

    return Reporter()
