"""What ties ModelScope's trainers to a job: rows it can read, a config changed as is wanted, its figures watched."""

from __future__ import annotations

import copy
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import JobRun, Task
from data_juicer_sandbox.components.io import read_rows, write_rows
from data_juicer_sandbox.components.train.callbacks import BrokeDown
from data_juicer_sandbox.errors import JobError

EXTRA = "modelscope"
_OURS = "__dj__"
_SMALL = (".json", ".txt", ".model", ".jinja")
"""Endings of a tokenizer's files."""


def dataset(path: str, mapping: Mapping[str, str], folder: Path) -> Any:
    """Rows as a data set of ModelScope, in files of a folder.

    Args:
        path: rows in any format. Data-Juicer's own fields (`__dj__stats__`, ...) are left out.
        mapping: new names of fields.
        folder: an empty one, to be kept as long as the data set is used.

    Raises:
        JobError: there are no rows, or one has none of the fields to be renamed.
    """
    folder.mkdir(parents=True)
    file = folder / "rows.jsonl"
    write_rows(file, _renamed(path, mapping))
    if not file.stat().st_size:
        raise JobError(f"there are no rows in {path}")
    rows = imports.load("datasets", extra=EXTRA).Dataset.from_json(str(file), cache_dir=str(folder / "cache"))
    return imports.load("modelscope.msdatasets", extra=EXTRA).MsDataset(rows)


def _renamed(path: str, mapping: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(read_rows(path), 1):
        if missing := [key for key in mapping if key not in row]:
            raise JobError(
                f"row {number:,} of {path} has no {missing[0]!r}, which key_remapping names",
                hint=f"its fields: {', '.join(row)}",
            )
        yield {mapping.get(key, key): value for key, value in row.items() if not key.startswith(_OURS)}


def modifier(changes: Mapping[str, Any], function: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """A `cfg_modify_fn`: makes the changes to a model's config, then calls the function."""

    def modify(config: Any) -> Any:
        for key, value in changes.items():  # one by one: of a key and one below it, together, the first would be lost
            config.merge_from_dict({key: value})
        changed = function(config) if function else config
        return config if changed is None else changed

    return modify


@contextmanager
def like_the_first() -> Iterator[None]:
    """A training that has what the first of a process has: ModelScope's default hooks (checkpoints, a log of metrics),
    which a trainer empties in their only place when it is built, and a log file, of which its logger takes but one.
    """
    defaults = imports.load("modelscope.trainers.default_config", extra=EXTRA).DEFAULT_HOOKS_CONFIG
    logger = logging.getLogger("modelscope")
    kept, handlers = copy.deepcopy(defaults), list(logger.handlers)
    try:
        yield
    finally:
        defaults.update(kept)
        for handler in set(logger.handlers).difference(handlers):
            if isinstance(handler, logging.FileHandler):
                logger.removeHandler(handler)
                handler.close()


def known_trainer(name: str) -> None:
    """See that ModelScope has a trainer.

    Raises:
        JobError: it has not; names the nearest.
    """
    names = imports.load("modelscope.metainfo", extra=EXTRA).Trainers
    known = [value for base in names.__mro__ for value in vars(base).values() if isinstance(value, str)]
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        raise JobError(f"ModelScope has no trainer {name!r}", hint=f"near: {', '.join(near)}" if near else None)


def complete(output: Path, source: Path) -> None:
    """Make the folder of a trained model a whole one that other programs can load.

    ModelScope writes `pytorch_model.bin` there, copies the old weights beside it where they are safetensors, which most
    programs would take instead, and leaves the tokenizer behind.

    Args:
        output: the folder.
        source: that of the model that was trained.
    """
    if (output / "pytorch_model.bin").exists():
        for old in [*output.glob("*.safetensors"), *output.glob("*.safetensors.index.json")]:
            old.unlink()
    for file in source.iterdir() if source.is_dir() else ():
        wanted = file.suffix in _SMALL and not file.name.endswith(".index.json")
        if wanted and file.is_file() and not (output / file.name).exists():
            shutil.copyfile(file, output / file.name)


def reporter(name: str, job: JobRun, task: Task, every: int) -> Any:
    """A hook for a trainer that watches `<name>.loss` (the mean since the last time), `<name>.learning_rate` and
    `<name>.eval.<metric>`, and moves a bar.

    Raises:
        BrokeDown: while training, when the loss is no longer a finite number.
    """
    hooks = imports.load("modelscope.trainers.hooks", extra=EXTRA)
    lowest = imports.load("modelscope.trainers.hooks.priority", extra=EXTRA).Priority.LOWEST

    class Reporter(hooks.Hook):  # type: ignore[name-defined]
        PRIORITY = lowest

        def __init__(self) -> None:
            self.last: dict[str, float] = {}
            self.sums: dict[str, float] = {}
            self.count, self.evaluated = 0, None

        def before_run(self, trainer: Any) -> None:
            task.update(total=trainer.max_iters)

        def after_train_iter(self, trainer: Any) -> None:
            step = trainer.iter + 1
            for key, value in _losses(trainer).items():
                self.sums[key] = self.sums.get(key, 0.0) + value
            self.count += 1
            if step % every == 0 or step == trainer.max_iters:
                self.last = {key: total / self.count for key, total in self.sums.items()}
                self.sums, self.count = {}, 0
                if not all(math.isfinite(value) for value in self.last.values()):
                    raise BrokeDown(f"training {name} broke down at step {step}: {self.last}", hint="a lower lr")
                rate = float(trainer.optimizer.param_groups[0]["lr"])
                job.watcher.watch({name: {**self.last, "learning_rate": rate}}, step=step)
                task.update(note=", ".join(f"{key} {value:.3f}" for key, value in self.last.items()))
            task.update(completed=step)
            self.told(trainer, step)

        def after_train_epoch(self, trainer: Any) -> None:
            self.told(trainer, trainer.iter)

        def told(self, trainer: Any, step: int) -> None:
            """Watch what an evaluation found, once."""
            found = trainer.metric_values
            if found is not None and found is not self.evaluated:
                self.evaluated = found
                job.watcher.watch({name: {"eval": _numbers(found)}}, step=step)

    return Reporter()


def _losses(trainer: Any) -> dict[str, float]:
    """The losses of the last step, as the trainer put them down."""
    history = trainer.log_buffer.val_history
    return {key: float(values[-1]) for key, values in history.items() if "loss" in key and values}


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in found.items() if hasattr(value, "__float__")}
