"""Training task: the inputs and the output folder of one model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_juicer_sandbox.types import ConfigValues


@dataclass(frozen=True)
class TrainingTask:
    """One model of a training job. All values are JSON values, since it is sent to worker processes.

    Args:
        name: name of the model, also in the metrics: `<data set>_seed<seed>`.
        dataset: short name of the data set.
        path: path of the data set.
        seed: seed of the weights and of the data order.
        folder: folder of the finished model.
        inputs: everything that determines the weights: data, parameters, device, seed.
        owner: the job and the work directory that the folder belongs to; see `output_folders.Owner`.
    """

    name: str
    dataset: str
    path: str
    seed: int
    folder: str
    inputs: ConfigValues
    owner: tuple[str, ...] = ()

    @property
    def target(self) -> Path:
        """The model's folder."""
        return Path(self.folder)
