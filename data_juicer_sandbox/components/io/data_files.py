"""Data files of a path: a file, all files of a folder, or the matches of a pattern."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.file_listing import distinct, folder_files, has_match, matching_files
from data_juicer_sandbox.files import is_pattern, is_special, path_exists

COMPRESSED = (".gz", ".zst")
FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".tsv": "tsv",
}  # fmt: skip
ENDINGS = (*FORMATS, *(suffix + packed for packed in COMPRESSED for suffix in FORMATS if suffix != ".parquet"))
"""Endings of data files; all formats except parquet may be compressed."""


def data_files(path: str | Path) -> list[Path]:
    """The files of a data set, sorted by name. Hidden files and folders are left out, and links in circles are followed
    once; a file that several names lead to is read once.

    Args:
        path: a file; a folder, for all data files in it and its subfolders; or a pattern (`part-*.jsonl`, `**` matches
            any folders).

    Raises:
        JobError: there are no such files.
    """
    root = Path(path)
    if root.is_dir():
        files = list(distinct(file for file in folder_files(root) if file.name.endswith(ENDINGS)))
        if not files:
            raise JobError(f"no data set in the folder {path}", hint=f"expected files that end in {', '.join(FORMATS)}")
        return files
    if root.is_file():
        return [root]
    if is_pattern(str(path)):
        if files := matching_files(path):
            return files
        raise JobError(f"no file matches {path}")
    if is_special(root):
        raise JobError(
            f"{path} is a pipe or device, but a data set is read more than once", hint="expected a file or a folder"
        )
    raise JobError(f"no data set at {path}")


def refuse_overwriting(target: Path, datasets: Iterable[str | Path]) -> None:
    """Refuse an output file that would replace a data set or become part of it.

    Raises:
        JobError: the file is, or lies in, one of the data sets.
    """
    output = target.resolve()
    for path in datasets:
        inputs = {Path(path).resolve(), *(file.resolve() for file in data_files(path))}
        if not inputs.isdisjoint([output, *output.parents]):
            raise JobError(f"{target} would be part of the data set {path}", hint="another export_path")


def is_data(path: str | Path) -> bool:
    """Whether a file, a folder, or a match of the pattern exists."""
    return path_exists(str(path)) or (is_pattern(str(path)) and has_match(path))


def existing_data(paths: Sequence[str], skip_missing: bool, noun: str = "data set") -> list[str]:
    """The data sets that exist.

    Args:
        paths: data sets.
        skip_missing: whether to skip data sets that do not exist, with a warning.
        noun: the name of a data set in messages, such as `data pool`.

    Raises:
        JobError: one does not exist and `skip_missing` is false, or none exists.
    """
    missing = [path for path in paths if not is_data(path)]
    if missing and not skip_missing:
        raise JobError(f"no {noun} at {', '.join(missing)}", hint=f"skip_missing: true skips missing {noun}s")
    for path in missing:
        logger.warning("no {} at {}: skipped", noun, path)
    if len(missing) == len(paths):
        raise JobError(f"none of these {noun}s exist: {', '.join(paths)}")
    return [path for path in paths if path not in missing]


def file_format(file: Path) -> str:
    """The format of a data file by its name: `jsonl`, `json`, `parquet` or `csv`; `jsonl` for an unknown ending."""
    name = file.name
    for packed in COMPRESSED:
        name = name.removesuffix(packed)
    return FORMATS.get(Path(name).suffix, "jsonl")
