"""Adapter between ModelScope trainers and a job: converts rows, changes the model's config, reports metrics."""

from __future__ import annotations

import copy
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import JobRun, Task
from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.components.train.hf_trainer import TrainingDiverged
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject, Row

EXTRA = "modelscope"
_OURS = "__dj__"
_SMALL = (".json", ".txt", ".model", ".jinja")
"""File name endings of a tokenizer's files."""


def dataset(path: str, mapping: Mapping[str, str], folder: Path, allowance: Allowance) -> LibraryObject:
    """Convert rows to a ModelScope data set, stored in a folder.

    Args:
        path: rows in any format. Fields of Data-Juicer (`__dj__stats__`, ...) are dropped.
        mapping: new names of fields.
        folder: a folder to create; it must exist as long as the data set is used.
        allowance: the rows that are skipped: no JSON object, or without a field to be renamed.

    Raises:
        JobError: there are no rows, or a row lacks a field to be renamed.
    """
    folder.mkdir(parents=True)
    file = folder / "rows.jsonl"
    write_rows(file, _renamed(path, mapping, allowance))
    if not file.stat().st_size:
        raise JobError(f"there are no rows in {path}")
    rows = imports.load("datasets", extra=EXTRA).Dataset.from_json(str(file), cache_dir=str(folder / "cache"))
    return imports.load("modelscope.msdatasets", extra=EXTRA).MsDataset(rows)


def _renamed(path: str, mapping: Mapping[str, str], allowance: Allowance) -> Iterator[Row]:
    for file in data_files(path):
        for number, line in numbered_lines(file, allowance):
            try:
                row = parse(line)
            except BadRow as error:
                allowance.skip(file, number, error)
                continue
            if missing := [key for key in mapping if key not in row]:
                what = f"the row has no {missing[0]!r}, which key_remapping names"
                allowance.skip(file, number, what, f"its fields: {', '.join(row)}")
                continue
            yield {mapping.get(key, key): value for key, value in row.items() if not key.startswith(_OURS)}


def modifier(
    changes: Mapping[str, object], function: Callable[[LibraryObject], LibraryObject] | None
) -> Callable[[LibraryObject], LibraryObject]:
    """Create a `cfg_modify_fn` that changes a model's config, then calls the function."""

    def modify(config: LibraryObject) -> LibraryObject:
        for key, value in changes.items():  # one by one: merged together, a key would be lost to a key below it
            config.merge_from_dict({key: value})
        changed = function(config) if function else config
        return config if changed is None else changed

    return modify


@contextmanager
def fresh_training_state() -> Iterator[None]:
    """Restore ModelScope's global state after a training, so that several trainings of a process behave alike.

    A trainer empties the global default hooks (checkpoints, a log of metrics) when it is built, and the logger of
    ModelScope accepts only one log file.
    """
    defaults = imports.load("modelscope.trainers.default_config", extra=EXTRA).DEFAULT_HOOKS_CONFIG
    logger = logging.getLogger("modelscope")
    saved_defaults, handlers = copy.deepcopy(defaults), list(logger.handlers)
    try:
        yield
    finally:
        defaults.update(saved_defaults)
        for handler in set(logger.handlers).difference(handlers):
            if isinstance(handler, logging.FileHandler):
                logger.removeHandler(handler)
                handler.close()


def check_trainer_name(name: str) -> None:
    """Check that ModelScope has a trainer of this name.

    Raises:
        JobError: the trainer is unknown; the error suggests similar names.
    """
    names = imports.load("modelscope.metainfo", extra=EXTRA).Trainers
    trainer_names = [value for base in names.__mro__ for value in vars(base).values() if isinstance(value, str)]
    if name not in trainer_names:
        matches = get_close_matches(name, trainer_names, n=3, cutoff=0.5)
        raise JobError(
            f"ModelScope has no trainer {name!r}", hint=f"similar: {', '.join(matches)}" if matches else None
        )


def complete(output: Path, source: Path) -> None:
    """Complete the folder of a trained model so that other programs can load it.

    ModelScope writes `pytorch_model.bin`, copies the old weights beside it if they are safetensors, which most programs
    would load instead, and does not copy the tokenizer.

    Args:
        output: the folder of the trained model.
        source: the folder of the base model.
    """
    if (output / "pytorch_model.bin").exists():
        for old in [*output.glob("*.safetensors"), *output.glob("*.safetensors.index.json")]:
            old.unlink()
    for file in source.iterdir() if source.is_dir() else ():
        is_tokenizer_file = file.suffix in _SMALL and not file.name.endswith(".index.json")
        if is_tokenizer_file and file.is_file() and not (output / file.name).exists():
            shutil.copyfile(file, output / file.name)


def reporter(name: str, job: JobRun, task: Task, every: int) -> LibraryObject:
    """Create a trainer hook that reports `<name>.loss` (the mean since the last report), `<name>.learning_rate` and
    `<name>.eval.<metric>`, and updates a progress bar.

    Raises:
        TrainingDiverged: during training, if the loss is not finite.
    """
    hooks = imports.load("modelscope.trainers.hooks", extra=EXTRA)
    lowest = imports.load("modelscope.trainers.hooks.priority", extra=EXTRA).Priority.LOWEST

    class Reporter(hooks.Hook):  # type: ignore[name-defined]
        PRIORITY = lowest

        def __init__(self) -> None:
            self.last: dict[str, float] = {}
            self.sums: dict[str, float] = {}
            self.count, self.evaluated = 0, None

        def before_run(self, trainer: LibraryObject) -> None:
            task.update(total=trainer.max_iters)

        def after_train_iter(self, trainer: LibraryObject) -> None:
            step = trainer.iter + 1
            for key, value in _losses(trainer).items():
                self.sums[key] = self.sums.get(key, 0.0) + value
            self.count += 1
            if step % every == 0 or step == trainer.max_iters:
                self.last = {key: total / self.count for key, total in self.sums.items()}
                self.sums, self.count = {}, 0
                if not all(math.isfinite(value) for value in self.last.values()):
                    raise TrainingDiverged(f"training {name} diverged at step {step}: {self.last}", hint="a lower lr")
                rate = float(trainer.optimizer.param_groups[0]["lr"])
                job.watcher.watch({name: {**self.last, "learning_rate": rate}}, step=step)
                task.update(note=", ".join(f"{key} {value:.3f}" for key, value in self.last.items()))
            task.update(completed=step)
            self.report_evaluation(trainer, step)

        def after_train_epoch(self, trainer: LibraryObject) -> None:
            self.report_evaluation(trainer, trainer.iter)

        def report_evaluation(self, trainer: LibraryObject, step: int) -> None:
            """Report the metrics of an evaluation, once."""
            metric_values = trainer.metric_values
            if metric_values is not None and metric_values is not self.evaluated:
                self.evaluated = metric_values
                job.watcher.watch({name: {"eval": _numbers(metric_values)}}, step=step)

    return Reporter()


def _losses(trainer: LibraryObject) -> dict[str, float]:
    """The losses of the last step, from the trainer's log."""
    history = trainer.log_buffer.val_history
    return {key: float(values[-1]) for key, values in history.items() if "loss" in key and values}


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if hasattr(value, "__float__")}
