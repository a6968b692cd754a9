"""Training with ModelScope trainers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from loguru import logger

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.metric_keys import MetricKey, metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.train.modelscope_link import (
    EXTRA,
    check_trainer_name,
    complete,
    dataset,
    fresh_training_state,
    modifier,
    reporter,
)
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import claim, remove, replacing
from data_juicer_sandbox.plugins import import_object
from data_juicer_sandbox.types import ConfigValues

_MEGATRON = ("nlp-gpt3-trainer", "nlp-gpt-moe-trainer", "nlp-plug-trainer")
"""Trainers that compute with megatron_util."""
_MEGATRON_UTIL = imports.Library(
    "megatron_util",
    command="install it from ModelScope's package index, on a machine with GPUs; the PyPI package of that name is "
    "another program",
)
_DECIDED = (
    "model",
    "train_dataset",
    "eval_dataset",
    "work_dir",
    "seed",
    "device",
    "cfg_modify_fn",
    "max_epochs",
)
"""Arguments of a trainer that the component sets."""
_ROWS = ".rows-"


class ModelScopeTrainer(Component):
    """Train a model from the ModelScope hub or a local folder with a ModelScope trainer.

    The model's folder has a `configuration.json`, which defines the task, the preprocessing, and the training
    (`train`: optimizer, batch size, epochs, ...; `evaluation`). `cfg_modify` overrides its values.

    The output is the folder of the trained model (the trainer's `output`), or a list of folders, one per data set.
    ModelScope's checkpoints and logs are in `<export_path>/<name of the data set>`. An existing folder is replaced when
    its training has succeeded.

    Metrics are `<name>.loss` (a mean over `log_steps`), `<name>.learning_rate`, and `<name>.eval.<metric>` with
    `eval_dataset_path`.

    modelscope needs a separate environment with the extra `modelscope`: it requires `datasets` below 5, while the extra
    `train` requires a later version.

    Args:
        trainer_name: a ModelScope trainer, such as `text-generation-trainer` or `nlp-base-trainer`.
        model: an id on the ModelScope hub, or a folder with a model and its `configuration.json`.
        dataset_path: one data set or several, in any format; each trains its own model.
        export_path: folder of the new models.
        eval_dataset_path: evaluation data, used as `evaluation.period` of the configuration defines, else at the end.
        key_remapping: new names of fields, as the trainer expects them: `{text: src_txt}`.
        cfg_modify: changes of the model's `configuration.json`, nested or with dots: `{train.max_epochs: 2}`.
        cfg_modify_fn: dotted path of a function that receives the configuration, after `cfg_modify`, and returns the
            one to train with.
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object, or without a field that
            `key_remapping` names); they are counted, named in the log and skipped.
        max_epochs: number of epochs; by default the configuration's.
        seed: seed of all random numbers.
        log_steps: steps between two sets of metrics.
        trainer_params: more arguments of the trainer, such as `model_revision`, `use_fp16` or `launcher`.
        threads: CPU threads; torch's default if not set.
    """

    outputs = ("models",)
    requires = imports.libraries(EXTRA, "modelscope", "torch", "datasets")
    metrics = (
        *metric_keys("learning_rate", "<loss>", under="{dataset_path}", per_step=True),
        MetricKey("{dataset_path}.eval.<metric>", per_step=True, requires="eval_dataset_path"),
        *BAD_ROWS,
    )
    numbers = number_keys(models=())

    @classmethod
    def required_libraries(cls, values: Mapping[str, object]) -> tuple[imports.Library, ...]:
        """Some trainers need megatron_util."""
        return (*cls.requires, _MEGATRON_UTIL) if values.get("trainer_name") in _MEGATRON else cls.requires

    def __init__(
        self,
        trainer_name: str,
        model: Model,
        dataset_path: InputPaths,
        export_path: OutputPath,
        eval_dataset_path: InputPath | None = None,
        key_remapping: dict[str, str] | None = None,
        cfg_modify: ConfigValues | None = None,
        cfg_modify_fn: str | None = None,
        skip_bad_rows: NonNegativeInt = 0,
        max_epochs: PositiveInt | None = None,
        seed: NonNegativeInt = 42,
        log_steps: PositiveInt = 10,
        trainer_params: ConfigValues | None = None,
        threads: PositiveInt | None = None,
    ):
        for key in trainer_params or {}:
            if key in _DECIDED:
                raise ConfigError(f"trainer_params cannot set {key}", hint="parameters of the component set it")
        self.trainer_name, self.model, self.export_path = trainer_name, model, export_path
        self.dataset_path, self.eval_dataset_path = dataset_path, eval_dataset_path
        self.key_remapping, self.cfg_modify = key_remapping or {}, cfg_modify or {}
        self.cfg_modify_fn, self.max_epochs, self.seed = cfg_modify_fn, max_epochs, seed
        self.log_steps, self.trainer_params, self.threads = log_steps, trainer_params or {}, threads
        self.skip_bad_rows = skip_bad_rows

    def run(self, job: JobRun) -> str | list[str]:
        """Train; returns the folder of the model, or a list of folders if `dataset_path` is a list.

        Raises:
            JobError: a library that the trainer needs is missing, or the trainer is unknown.
        """
        if self.trainer_name in _MEGATRON and not imports.is_installed(_MEGATRON_UTIL.module):
            what = f"{self.trainer_name} needs the library megatron_util, which is not installed"
            raise JobError(what, hint=_MEGATRON_UTIL.install)
        imports.load("modelscope", extra=EXTRA)
        check_trainer_name(self.trainer_name)
        function = import_object(self.cfg_modify_fn) if self.cfg_modify_fn else None
        for leftover in job.folder.glob(f"{_ROWS}*"):  # of a process that was killed
            remove(leftover)
        paths = as_list(self.dataset_path)
        models, allowance = [], Allowance(self.skip_bad_rows)
        for name in distinct_names(paths):
            claim(Path(self.export_path) / name, folder=True)
        with torch_env.deterministic(self.threads):
            for name, path in zip(distinct_names(paths), paths, strict=True):
                target = Path(self.export_path) / name
                with replacing(target, folder=True) as part, _data(job) as scratch, fresh_training_state():
                    model_subfolder = self._train(job, name, path, function, part, scratch, allowance)
                models.append(str(target / model_subfolder))
        allowance.report(job)
        return models[0] if isinstance(self.dataset_path, str) else models

    def _train(
        self,
        job: JobRun,
        name: str,
        path: str,
        function: Callable[..., object] | None,
        part: Path,
        scratch: Path,
        allowance: Allowance,
    ) -> str:
        """Train one model below the folder `part`; returns the model's path relative to it."""
        build = imports.load("modelscope.trainers", extra=EXTRA).build_trainer
        arguments: dict[str, object] = {
            "model": self.model,
            "train_dataset": dataset(path, self.key_remapping, scratch / "train", allowance),
            "work_dir": str(part.absolute()),
            "seed": self.seed,
            "device": "gpu" if torch_env.device() == "cuda" else "cpu",
            "cfg_modify_fn": modifier(self.cfg_modify, function),
        }
        if self.max_epochs:
            arguments["max_epochs"] = self.max_epochs
        if self.eval_dataset_path:
            arguments["eval_dataset"] = dataset(self.eval_dataset_path, self.key_remapping, scratch / "eval", allowance)
        trainer = build(self.trainer_name, {**arguments, **self.trainer_params})
        with job.progress.task(f"training {name}") as task:
            hook = reporter(name, job, task, self.log_steps)
            trainer.register_hook(hook)
            trainer.train()
            if self.eval_dataset_path and hook.evaluated is None:
                trainer.evaluate()
            hook.report_evaluation(trainer, trainer.iter)
        outputs = [str(hook.output_dir) for hook in trainer.hooks if getattr(hook, "output_dir", None)]
        model_folder = next((out for out in outputs if Path(out).is_dir() and any(Path(out).iterdir())), None)
        if model_folder is None:
            logger.warning("{} saved no complete model: the output is its checkpoints", self.trainer_name)
            return "."
        complete(Path(model_folder), Path(trainer.model_dir))
        return os.path.relpath(model_folder, part.absolute())


@contextmanager
def _data(job: JobRun) -> Iterator[Path]:
    """A temporary folder for the data in the format that ModelScope reads."""
    with TemporaryDirectory(dir=job.folder, prefix=_ROWS) as folder:
        yield Path(folder)
