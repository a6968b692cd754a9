"""Training with ModelScope's trainers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsonargparse.typing import NonNegativeInt, PositiveInt
from loguru import logger

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.train.modelscope_link import (
    EXTRA,
    complete,
    dataset,
    known_trainer,
    like_the_first,
    modifier,
    reporter,
)
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import claim, remove, replacing
from data_juicer_sandbox.plugins import import_object

_MEGATRON = ("nlp-gpt3-trainer", "nlp-gpt-moe-trainer", "nlp-plug-trainer")
"""Trainers that compute with megatron_util."""
_ROWS = ".rows-"


class ModelScopeTrainer(Component):
    """Train a model of the ModelScope hub, or of a local folder, with one of ModelScope's trainers.

    The model's folder has a `configuration.json`: it tells the task, how texts become tokens, and how to train
    (`train`: optimizer, batch size, epochs, ...; `evaluation`). What is to be different stands in `cfg_modify`.

    Puts out the folder of the trained model (the trainer's `output`), or a list of them, one for each data set. Beside
    it, in `<export_path>/<name of the data set>`, are ModelScope's own checkpoints and logs. A folder that is there is
    replaced when its training has ended well.

    Watches `<name>.loss` (a mean over `log_steps`), `<name>.learning_rate`, and `<name>.eval.<metric>` where the data
    to evaluate on is given.

    modelscope wants an environment of its own, with the extra `modelscope`: its `datasets` is one below 5, the extra
    `train` needs a later one.

    Args:
        trainer_name: a trainer of ModelScope, such as `text-generation-trainer` or `nlp-base-trainer`.
        model: an id on the ModelScope hub, or a folder with a model and its `configuration.json`.
        dataset_path: the data set(s) to train on, in any format. Several train a model each.
        export_path: folder of the new models.
        eval_dataset_path: data to evaluate on: as the config says (`evaluation.period`), or else at the end.
        key_remapping: new names of fields, as the trainer wants them: `{text: src_txt}`.
        cfg_modify: what to change in the model's `configuration.json`, nested or with dots: `{train.max_epochs: 2}`.
        cfg_modify_fn: a function by its dotted path that gets that configuration, after `cfg_modify`, and gives
            back the one to train with.
        max_epochs: how often to go over the data; as the configuration says by default.
        seed: of all that is drawn at random.
        log_steps: steps from one set of metrics to the next.
        trainer_params: more arguments of the trainer, such as `model_revision`, `use_fp16` or `launcher`.
        threads: CPU threads; torch's choice by default.
    """

    outputs = ("models",)

    def __init__(
        self,
        trainer_name: str,
        model: Model,
        dataset_path: InputPaths,
        export_path: OutputPath,
        eval_dataset_path: InputPath | None = None,
        key_remapping: dict[str, str] | None = None,
        cfg_modify: dict[str, Any] | None = None,
        cfg_modify_fn: str | None = None,
        max_epochs: PositiveInt | None = None,
        seed: NonNegativeInt = 42,
        log_steps: PositiveInt = 10,
        trainer_params: dict[str, Any] | None = None,
        threads: PositiveInt | None = None,
    ):
        self.trainer_name, self.model, self.export_path = trainer_name, model, export_path
        self.dataset_path, self.eval_dataset_path = dataset_path, eval_dataset_path
        self.key_remapping, self.cfg_modify = key_remapping or {}, cfg_modify or {}
        self.cfg_modify_fn, self.max_epochs, self.seed = cfg_modify_fn, max_epochs, seed
        self.log_steps, self.trainer_params, self.threads = log_steps, trainer_params or {}, threads

    def run(self, job: JobRun) -> str | list[str]:
        """Train; returns the folder of the model, or of each where `dataset_path` is a list.

        Raises:
            JobError: a library that the trainer needs is missing, or there is no such trainer.
        """
        if self.trainer_name in _MEGATRON and find_spec("megatron_util") is None:
            raise JobError(
                f"{self.trainer_name} needs the library megatron_util, which is not installed",
                hint="ModelScope's own package index has it, for machines with GPUs; the one of that name on PyPI is "
                "another program",
            )
        imports.load("modelscope", extra=EXTRA)
        known_trainer(self.trainer_name)
        function = import_object(self.cfg_modify_fn) if self.cfg_modify_fn else None
        for left in job.folder.glob(f"{_ROWS}*"):  # by a process that was killed
            remove(left)
        paths = as_list(self.dataset_path)
        models = []
        for name in distinct_names(paths):
            claim(Path(self.export_path) / name, folder=True)
        with torch_env.deterministic(self.threads):
            for name, path in zip(distinct_names(paths), paths, strict=True):
                target = Path(self.export_path) / name
                with replacing(target, folder=True) as part, _data(job) as scratch, like_the_first():
                    found = self._train(job, name, path, function, part, scratch)
                models.append(str(target / found))
        return models[0] if isinstance(self.dataset_path, str) else models

    def _train(self, job: JobRun, name: str, path: str, function: Any, part: Path, scratch: Path) -> str:
        """Train one model below a folder; returns the model's place in it."""
        build = imports.load("modelscope.trainers", extra=EXTRA).build_trainer
        given: dict[str, Any] = {
            "model": self.model,
            "train_dataset": dataset(path, self.key_remapping, scratch / "train"),
            "work_dir": str(part.absolute()),
            "seed": self.seed,
            "device": "gpu" if torch_env.device() == "cuda" else "cpu",
            "cfg_modify_fn": modifier(self.cfg_modify, function),
        }
        if self.max_epochs:
            given["max_epochs"] = self.max_epochs
        if self.eval_dataset_path:
            given["eval_dataset"] = dataset(self.eval_dataset_path, self.key_remapping, scratch / "eval")
        trainer = build(self.trainer_name, {**given, **self.trainer_params})
        with job.progress.task(f"training {name}") as task:
            hook = reporter(name, job, task, self.log_steps)
            trainer.register_hook(hook)
            trainer.train()
            if self.eval_dataset_path and hook.evaluated is None:
                trainer.evaluate()
            hook.told(trainer, trainer.iter)
        outputs = [str(hook.output_dir) for hook in trainer.hooks if getattr(hook, "output_dir", None)]
        made = next((out for out in outputs if Path(out).is_dir() and any(Path(out).iterdir())), None)
        if made is None:
            logger.warning("{} left no folder with a whole model: its checkpoints are put out", self.trainer_name)
            return "."
        complete(Path(made), Path(trainer.model_dir))
        return os.path.relpath(made, part.absolute())


@contextmanager
def _data(job: JobRun) -> Iterator[Path]:
    """A folder for the data in the form that ModelScope reads; gone when the training has ended."""
    with TemporaryDirectory(dir=job.folder, prefix=_ROWS) as folder:
        yield Path(folder)
