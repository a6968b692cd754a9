"""Checks of the data sets in a recipe, before Data-Juicer is imported."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from data_juicer_sandbox.components.data.row_depth import refuse_deep_rows
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import is_special
from data_juicer_sandbox.types import ConfigValues, JsonValue

_DATA_SUFFIXES = {
    ".jsonl", ".json", ".parquet", ".csv", ".tsv", ".txt", ".gz", ".zst", ".arrow", ".pdf", ".docx", ".md",
}  # fmt: skip


def with_sources(recipe: Mapping[str, JsonValue]) -> ConfigValues:
    """Convert the data sets of a recipe to a form that Data-Juicer reads correctly.

    A list of paths, or a path with spaces or quotes, becomes Data-Juicer's multi-source form (`dataset.configs`), since
    Data-Juicer would split the path at spaces.

    Raises:
        JobError: the recipe has no data set, a data set is missing, or a row is nested too deeply for Arrow.
    """
    converted = dict(recipe)
    if converted.get("generated_dataset_config"):
        return converted
    path = converted.get("dataset_path") or None
    if isinstance(path, (list, tuple)):
        paths = [str(item) for item in path]
    elif path is not None and Path(str(path)).exists():
        paths = [str(path)]
    else:
        if path is not None:
            _check_words(str(path))
        else:
            _check_configs(converted.get("dataset"))
        return converted
    for local_path in paths:
        _check(local_path)
    if len(paths) == 1 and shlex.quote(paths[0]) == paths[0]:
        converted["dataset_path"] = paths[0]
    else:
        del converted["dataset_path"]
        converted["dataset"] = {"configs": [{"type": "local", "path": local_path} for local_path in paths]}
    return converted


def _check_words(path: str) -> None:
    """Check Data-Juicer's form of one or more paths in a string, each with an optional weight in front."""
    try:
        words = shlex.split(path)
    except ValueError as error:
        raise JobError(f"`dataset_path` cannot be read: {error}") from error
    for word in words:
        try:
            float(word)
        except ValueError:
            local = word.startswith((".", "/", "~")) or word.count("/") > 1 or Path(word).suffix in _DATA_SUFFIXES
            if local:  # other words may be data sets on a hub
                _check(word)


def _check_configs(dataset: JsonValue) -> None:
    configs = dataset.get("configs") if isinstance(dataset, Mapping) else dataset
    if not configs:
        raise JobError("the recipe has no data set", hint="set `dataset_path` in dj_configs")
    for config in configs:
        if isinstance(config, Mapping) and config.get("type", "local") == "local" and config.get("path"):
            _check(str(config["path"]))


def _check(path: str) -> None:
    if is_special(path):
        raise JobError(
            f"{path} is a pipe or device, but a data set is read more than once", hint="expected a file or a folder"
        )
    if not Path(path).exists():
        raise JobError(f"no data set at {path}", hint=f"the current folder is {Path.cwd()}")
    refuse_deep_rows(path)
