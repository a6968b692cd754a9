"""What a training that was killed goes on from: checkpoints in the job's folder, until the model is whole.

They are those of transformers' Trainer: weights, optimizer, learning rate schedule, random states, the place in the
data. One whose writing was broken off is told by its missing mark.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components import compute
from data_juicer_sandbox.files import remove

MARK = "whole"
KEPT = 2
"""Checkpoints that stay: while the latest is being written, the one before is what there is."""
_NAME = re.compile(r"checkpoint-(\d+)")


class Checkpoints:
    """The checkpoints of one model.

    Args:
        root: the folder of all checkpoints of the job.
        model: the model's name.
        fingerprint: of all that its weights depend on; checkpoints of other data or parameters are no good.
    """

    def __init__(self, root: Path, model: str, fingerprint: str):
        self.root, self.of_model = root, root / model
        self.folder = self.of_model / fingerprint

    def sweep(self) -> None:
        """Delete what was made for other data or parameters, and what is half written."""
        if self.of_model.is_dir():
            for other in self.of_model.iterdir():
                if other != self.folder:
                    remove(other)
        for checkpoint in self._all():
            if not (checkpoint / MARK).exists():
                remove(checkpoint)

    def last(self) -> Path | None:
        """The latest whole checkpoint."""
        whole = (checkpoint for checkpoint in self._all() if (checkpoint / MARK).exists())
        return max(whole, key=_step, default=None)

    def remove(self) -> None:
        """Delete all of this model's, and the folders that are empty then."""
        remove(self.of_model)
        with suppress(OSError):  # not empty: other models are being trained
            self.root.rmdir()

    def marker(self) -> Any:
        """A TrainerCallback that marks each checkpoint when all of it is written."""
        folder = self.folder

        class Marker(compute.transformers().TrainerCallback):  # type: ignore[misc]
            def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                together = compute.torch().distributed
                if together.is_available() and together.is_initialized():
                    together.barrier()  # every process writes its own random state
                if state.is_world_process_zero:
                    (folder / f"checkpoint-{state.global_step}" / MARK).touch()

        return Marker()

    def _all(self) -> list[Path]:
        return [path for path in self.folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
