"""Checkpoints of an interrupted training, kept in the job's folder until the model is saved.

They are written by transformers' Trainer: weights, optimizer, learning rate schedule, random states, position in the
data. After all files of a checkpoint, a manifest with the size and digest of each is written. A checkpoint without a
manifest is incomplete; one whose files differ from its manifest is damaged, and the previous one is used.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from loguru import logger

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.file_digests import digest, walk
from data_juicer_sandbox.files import remove, replacing
from data_juicer_sandbox.types import LibraryObject

MANIFEST = "manifest.json"
MARK = "whole"
"""The empty file that earlier versions wrote instead of a manifest."""
KEPT = 2
"""Number of checkpoints kept: the previous one is used if the latest is incomplete or damaged."""
_NAME = re.compile(r"checkpoint-(\d+)")


class Checkpoints:
    """The checkpoints of one model.

    Args:
        root: the folder of all checkpoints of the job.
        model: the model's name.
        fingerprint: fingerprint of everything that determines the weights; checkpoints with another one are not used.
    """

    def __init__(self, root: Path, model: str, fingerprint: str):
        self.root, self.of_model = root, root / model
        self.folder = self.of_model / fingerprint
        self._faults: dict[Path, str | None] = {}

    def sweep(self) -> None:
        """Delete checkpoints of other data or parameters, and incomplete or damaged ones."""
        if self.of_model.is_dir():
            for other in self.of_model.iterdir():
                if other != self.folder:
                    remove(other)
        for checkpoint in self._all():
            if not _is_finished(checkpoint):
                remove(checkpoint)
        for checkpoint in self._newest_first():
            if (fault := self._fault(checkpoint)) is None:
                break
            logger.warning("the checkpoint {} is damaged and is not used: {}", checkpoint, fault)
            remove(checkpoint)

    def last(self) -> Path | None:
        """The latest checkpoint that is complete and undamaged."""
        return next((checkpoint for checkpoint in self._newest_first() if self._fault(checkpoint) is None), None)

    def remove(self) -> None:
        """Delete all checkpoints of this model, and the folders that this leaves empty."""
        remove(self.of_model)
        with suppress(OSError):  # not empty: other models are being trained
            self.root.rmdir()

    def marker(self) -> LibraryObject:
        """Create a TrainerCallback that writes the manifest of each checkpoint once all its files are written."""
        folder = self.folder

        class Marker(torch_env.transformers().TrainerCallback):  # type: ignore[misc]
            def on_save(self, args: LibraryObject, state: LibraryObject, control: LibraryObject, **_: object) -> None:
                distributed = torch_env.torch().distributed
                if distributed.is_available() and distributed.is_initialized():
                    distributed.barrier()  # every process writes its own random state
                if state.is_world_process_zero:
                    finish(folder / f"checkpoint-{state.global_step}")

        return Marker()

    def _all(self) -> list[Path]:
        return [path for path in self.folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)]

    def _newest_first(self) -> list[Path]:
        return sorted(filter(_is_finished, self._all()), key=_step, reverse=True)

    def _fault(self, checkpoint: Path) -> str | None:
        """The fault of a checkpoint, or None; the result is cached."""
        if checkpoint not in self._faults:
            self._faults[checkpoint] = find_fault(checkpoint)
        return self._faults[checkpoint]


def finish(checkpoint: Path) -> None:
    """Write the manifest of a checkpoint whose files are all written."""
    with replacing(checkpoint / MANIFEST, durable=True) as part:
        part.write_text(json.dumps({"files": _contents(checkpoint)}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def find_fault(checkpoint: Path) -> str | None:
    """Compare a checkpoint with its manifest; returns the first difference, or None."""
    try:
        if not (checkpoint / MANIFEST).exists():
            return _find_fault_by_loading(checkpoint)
        expected = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))["files"]
        if not expected:
            return f"{MANIFEST} names no file"
        for name, (size, content) in expected.items():
            file = checkpoint / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != size:
                return f"{name} has {file.stat().st_size:,} bytes instead of {size:,}"
            if digest(file) != content:
                return f"the content of {name} has changed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{MANIFEST} or a file that it names cannot be read: {type(error).__name__}: {error}"
    return None


def _find_fault_by_loading(checkpoint: Path) -> str | None:
    """Find a fault in a checkpoint of an earlier version, which has no manifest, by loading its files."""
    files = list(walk(checkpoint))
    for required in ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state*.pth", "*.safetensors"):
        if not any(file.match(required) for file in files):
            return f"{required} is missing"
    for file in files:
        try:
            _load(file)
        except Exception as error:  # which exception a damaged file raises depends on the library and on the damage
            return f"{file.name} cannot be loaded: {type(error).__name__}: {error}"
    return None


def _load(file: Path) -> None:
    if file.suffix == ".json":
        json.loads(file.read_text(encoding="utf-8"))
    elif file.suffix == ".safetensors":
        imports.load("safetensors.torch", extra=torch_env.EXTRA).load_file(file)
    elif file.suffix in (".pt", ".pth"):
        with imports.load("transformers.trainer_pt_utils", extra=torch_env.EXTRA).safe_globals():
            torch_env.torch().load(file, map_location="cpu", weights_only=True)


def _contents(checkpoint: Path) -> dict[str, list[int | str]]:
    """The size and digest of each file of a checkpoint."""
    return {
        str(file.relative_to(checkpoint)): [file.stat().st_size, digest(file)]
        for file in walk(checkpoint)
        if file.name != MANIFEST
    }


def _is_finished(checkpoint: Path) -> bool:
    return (checkpoint / MANIFEST).exists() or (checkpoint / MARK).exists()


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
