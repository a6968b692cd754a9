"""What one model is to be trained from, and where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainingTask:
    """One model of a training job. Plain values: it goes to a worker process as JSON.

    Args:
        name: the model's, also in the metrics: `<data set>_seed<seed>`.
        dataset: the data set's short name.
        path: the data set.
        seed: of the weights and the order of the data.
        folder: where the finished model goes.
        wanted: all that the weights depend on: data, parameters, device, seed.
        owner: the job and the work directory that the folder belongs to; see `output_folders.Owner`.
    """

    name: str
    dataset: str
    path: str
    seed: int
    folder: str
    wanted: dict[str, Any]
    owner: tuple[str, ...] = ()

    @property
    def target(self) -> Path:
        """The model's folder."""
        return Path(self.folder)
