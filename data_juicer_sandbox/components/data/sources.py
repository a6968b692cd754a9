"""The data sets of a recipe: local ones, which the sandbox reads, and others, which Data-Juicer loads."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.io.data_files import ENDINGS, FORMATS, data_files, is_data
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.file_listing import folder_files
from data_juicer_sandbox.files import is_special
from data_juicer_sandbox.types import ConfigValues, JsonValue

_OTHER_SUFFIXES = {".txt", ".arrow", ".pdf", ".docx", ".md"}
"""Endings of files that Data-Juicer itself reads."""
_SUFFIXES = {*FORMATS, *_OTHER_SUFFIXES, ".gz", ".zst"}


@dataclass(frozen=True)
class LocalData:
    """Data sets on this machine.

    Attributes:
        paths: files, folders or patterns, in order.
        weights: the share of each, if the number of rows is limited.
        max_rows: the number of rows that are drawn from all of them; None for all rows.
    """

    paths: tuple[str, ...]
    weights: tuple[float, ...]
    max_rows: int | None = None


def local_data(recipe: Mapping[str, JsonValue]) -> LocalData | None:
    """The data sets of a recipe that the sandbox reads; None if Data-Juicer loads them, such as those on a hub.

    Raises:
        JobError: the recipe has no data set, or a data set is missing.
    """
    if recipe.get("generated_dataset_config") or recipe.get("decrypt_after_reading"):
        return None
    path = recipe.get("dataset_path") or None
    if isinstance(path, (list, tuple)):
        return _readable([(str(item), 1.0) for item in path])
    if path is None:
        return _of_configs(recipe.get("dataset"))
    if is_data(str(path)):
        return _readable([(str(path), 1.0)])
    return _of_words(str(path))


def without_data(recipe: Mapping[str, JsonValue]) -> ConfigValues:
    """The recipe without its data sets, for Data-Juicer, which gets the rows in another form."""
    return {key: value for key, value in recipe.items() if key not in ("dataset_path", "dataset")}


def with_dataset_configs(recipe: Mapping[str, JsonValue]) -> ConfigValues:
    """The recipe with a list of paths in the form in which Data-Juicer itself loads it (`dataset.configs`)."""
    converted = dict(recipe)
    path = converted.get("dataset_path") or None
    paths = [str(item) for item in path] if isinstance(path, (list, tuple)) else [str(path)] if path else []
    if (isinstance(path, (list, tuple)) or any(map(is_data, paths))) and not (
        len(paths) == 1 and shlex.quote(paths[0]) == paths[0]
    ):
        del converted["dataset_path"]
        converted["dataset"] = {"configs": [{"type": "local", "path": item} for item in paths]}
    elif isinstance(path, (list, tuple)):
        converted["dataset_path"] = paths[0]
    return converted


def _of_words(path: str) -> LocalData | None:
    """Data-Juicer's form of one or more paths in a string, each with an optional weight in front."""
    try:
        words = shlex.split(path)
    except ValueError as error:
        raise JobError(f"`dataset_path` cannot be read: {error}") from error
    sources: list[tuple[str, float]] = []
    weight = 1.0
    for word in words:
        try:
            weight = max(float(word), 0.0)
        except ValueError:
            sources.append((word, weight))
            weight = 1.0
    local = [word for word, _ in sources if is_data(word) or _is_local(word)]
    if len(local) < len(sources):  # the others may be data sets on a hub
        for word in local:
            _check(word)
        return None
    return _readable(sources)


def _is_local(word: str) -> bool:
    return word.startswith((".", "/", "~")) or word.count("/") > 1 or Path(word).suffix in _SUFFIXES


def _of_configs(dataset: JsonValue) -> LocalData | None:
    configs = dataset.get("configs") if isinstance(dataset, Mapping) else dataset
    if not configs:
        raise JobError("the recipe has no data set", hint="set `dataset_path` in dj_configs")
    sources = []
    for config in configs:
        if not isinstance(config, Mapping) or config.get("type", "local") != "local" or not config.get("path"):
            return None
        weight = config.get("weight", 1.0)
        sources.append((str(config["path"]), float(weight)))
    max_rows = dataset.get("max_sample_num") if isinstance(dataset, Mapping) else None
    return _readable(sources, max_rows)


def _readable(sources: list[tuple[str, float]], max_rows: int | None = None) -> LocalData | None:
    for path, _ in sources:
        _check(path)
    if any(_only_data_juicer_reads(path) for path, _ in sources):
        return None
    for path, _ in sources:
        if Path(path).is_dir() and (others := [file for file in folder_files(Path(path)) if _is_other(file)]):
            logger.warning("{} file(s) in {} are no tables and are not read, such as {}", len(others), path, others[0])
    return LocalData(tuple(path for path, _ in sources), tuple(weight for _, weight in sources), max_rows)


def _only_data_juicer_reads(path: str) -> bool:
    """Whether a file, or a folder without a data file of the formats here, holds texts or documents."""
    root = Path(path)
    if root.is_file():
        return _is_other(root)
    if not root.is_dir():
        return False
    try:
        data_files(root)
    except JobError:
        return any(map(_is_other, folder_files(root)))
    return False


def _is_other(file: Path) -> bool:
    return not file.name.endswith(ENDINGS) and file.suffix in _OTHER_SUFFIXES


def _check(path: str) -> None:
    if is_special(path):
        raise JobError(
            f"{path} is a pipe or device, but a data set is read more than once", hint="expected a file or a folder"
        )
    if not is_data(path):
        raise JobError(f"no data set at {path}", hint=f"the current folder is {Path.cwd()}")
