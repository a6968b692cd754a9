"""The data sets a recipe names, looked at before Data-Juicer is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.data.row_depth import refuse_deep_rows
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import is_special

_DATA_SUFFIXES = {
    ".jsonl", ".json", ".parquet", ".csv", ".tsv", ".txt", ".gz", ".zst", ".arrow", ".pdf", ".docx", ".md",
}  # fmt: skip


def with_sources(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with its data sets in a form that Data-Juicer reads as they are meant.

    A list of paths, or a path with blanks or quotes, becomes Data-Juicer's multi-source form (`dataset.configs`);
    Data-Juicer would cut a path at its blanks.

    Raises:
        JobError: no data set is named, one is not there, or a row is nested too deeply for Arrow.
    """
    made = dict(recipe)
    if made.get("generated_dataset_config"):
        return made
    path = made.get("dataset_path") or None
    if isinstance(path, (list, tuple)):
        paths = [str(one) for one in path]
    elif path is not None and Path(str(path)).exists():
        paths = [str(path)]
    else:
        if path is not None:
            _check_words(str(path))
        else:
            _check_configs(made.get("dataset"))
        return made
    for one in paths:
        _check(one)
    if len(paths) == 1 and shlex.quote(paths[0]) == paths[0]:
        made["dataset_path"] = paths[0]
    else:
        del made["dataset_path"]
        made["dataset"] = {"configs": [{"type": "local", "path": one} for one in paths]}
    return made


def _check_words(path: str) -> None:
    """Data-Juicer's form for one or more paths in a string, each with a weight in front or not."""
    try:
        words = shlex.split(path)
    except ValueError as error:
        raise JobError(f"`dataset_path` cannot be read: {error}") from error
    for word in words:
        try:
            float(word)
        except ValueError:
            local = word.startswith((".", "/", "~")) or word.count("/") > 1 or Path(word).suffix in _DATA_SUFFIXES
            if local:  # anything else may be a data set on a hub
                _check(word)


def _check_configs(dataset: Any) -> None:
    configs = dataset.get("configs") if isinstance(dataset, Mapping) else dataset
    if not configs:
        raise JobError("the recipe names no data set", hint="set `dataset_path` in dj_configs")
    for config in configs:
        if isinstance(config, Mapping) and config.get("type", "local") == "local" and config.get("path"):
            _check(str(config["path"]))


def _check(path: str) -> None:
    if is_special(path):
        raise JobError(f"{path} is a pipe or device, and a data set is read more than once", hint="a file or a folder")
    if not Path(path).exists():
        raise JobError(f"there is no data set at {path}", hint=f"looked from {Path.cwd()}")
    refuse_deep_rows(path)
