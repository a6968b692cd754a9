"""Input of a training: the parameters that several trainers share (keyword-only dataclasses), and the task of a model.

The annotations are evaluated here (no `from __future__ import annotations`): a subclass's constructor would otherwise
look up their names in the subclass's module.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_juicer_sandbox.components.base import InputPath
from data_juicer_sandbox.components.number_types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from data_juicer_sandbox.types import ConfigValues


@dataclass(eq=False, kw_only=True)
class TrainingParameters:
    """Parameters of all trainers of language models.

    Args:
        device_batch_size: examples per device at a time, if a step's examples do not fit; gradients are accumulated.
            All by default.
        lora_r: LoRA: rank of the adapters.
        lora_alpha: LoRA: the adapters are scaled by `lora_alpha / lora_r`.
        lora_dropout: LoRA: dropout probability of the adapters' inputs.
        lora_target_modules: LoRA: names of the layers that get adapters; `all-linear` selects every linear layer except
            the output layer.
        merge: LoRA: save the model with the adapters merged into its weights, a plain model for any program; if false,
            only the adapters, which transformers loads together with `model`.
        learning_rate: peak learning rate.
        max_grad_norm: gradients are clipped to this norm.
        precision: precision of GPU computation; `auto` is bfloat16 on GPUs that support it, else float32.
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object, or without what is
            trained on); they are counted, named in the log and skipped.
        save_steps: steps between checkpoints.
        max_parallel: models trained at the same time, each in its own process with an equal share of the cores, on the
            GPUs in turn. By default 1; small models of `method: scratch` on the CPU are trained on one thread each, as
            many at a time as there are idle cores.
        num_processes: processes that train one model together, one per GPU, or on the CPU.
        threads: CPU threads per process; by default 1 for small models of `method: scratch` without `max_parallel`,
            else an equal share of the cores. Another number gives slightly different weights.
    """

    device_batch_size: PositiveInt | None = None
    lora_r: PositiveInt = 16
    lora_alpha: PositiveFloat = 32.0
    lora_dropout: NonNegativeFloat = 0.0
    lora_target_modules: str | list[str] = "all-linear"
    merge: bool = True
    learning_rate: PositiveFloat | None = None
    max_grad_norm: PositiveFloat = 1.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    skip_bad_rows: NonNegativeInt = 0
    save_steps: PositiveInt = 200
    max_parallel: PositiveInt | None = None
    num_processes: PositiveInt = 1
    threads: PositiveInt | None = None
    training_args: ConfigValues | None = None


@dataclass(eq=False, kw_only=True)
class TrlParameters(TrainingParameters):
    """Parameters of all trl trainers.

    Args:
        chat_template: a file with a Jinja chat template that replaces the tokenizer's template.
        batch_size: rows per step.
        lora: train low-rank adapters instead of the weights.
        weight_decay: weight decay of AdamW.
    """

    chat_template: InputPath | None = None
    batch_size: PositiveInt = 8
    lora: bool = False
    weight_decay: NonNegativeFloat = 0.0


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
