"""Copies per-sample results of a framework to the export folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from data_juicer_sandbox.files import replacing


def keep(folder: Path, number: int, name: str, target: str | Path) -> None:
    """Copy the samples of the n-th model, `<n>_<task>.jsonl`, to `<target>/<name>_<task>_samples.jsonl`."""
    for file in sorted(folder.glob(f"{number}_*.jsonl")):
        task = file.stem.partition("_")[2]
        with replacing(Path(target) / f"{name}_{task}_samples.jsonl") as part:
            shutil.copyfile(file, part)
