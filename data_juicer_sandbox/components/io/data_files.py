"""Which files a path stands for: one file, all of a folder, or those a pattern matches."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import is_special, is_there, walk

PACKED = (".gz", ".zst")
FORMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
ENDINGS = (*FORMS, *(file_format + packed for packed in PACKED for file_format in FORMS if file_format != ".parquet"))
"""What a data set's file name may end in; all of it but parquet also compressed."""

_PATTERN = re.compile(r"[*?\[]")


def data_files(path: str | Path) -> list[Path]:
    """The files of a data set, in the order of their names.

    Args:
        path: a file; a folder, which stands for all files below it that end as data sets do; or a pattern
            (`part-*.jsonl`, `**` goes through folders).

    Raises:
        JobError: there is none.
    """
    given = Path(path)
    if given.is_dir():
        found = [file for file in walk(given) if file.name.endswith(ENDINGS) and not _is_hidden(file, given)]
        if not found:
            raise JobError(f"there is no data set in the folder {path}", hint=f"files that end in {', '.join(FORMS)}")
        return found
    if given.is_file():
        return [given]
    if is_pattern(path):
        matches = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207  # patterns may be absolute
        found = sorted(file for file in matches if file.is_file())
        if found:
            return found
        raise JobError(f"no file matches {path}")
    if is_special(given):
        raise JobError(f"{path} is a pipe or device, and a data set is read more than once", hint="a file or a folder")
    raise JobError(f"there is no data set at {path}")


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(name.startswith(".") for name in file.relative_to(folder).parts)


def refuse_overwriting(target: Path, datasets: Iterable[str | Path]) -> None:
    """Refuse a new file that stands where a data set does, or within one.

    Raises:
        JobError: it does.
    """
    place = target.resolve()
    for path in datasets:
        read = {Path(path).resolve(), *(file.resolve() for file in data_files(path))}
        if not read.isdisjoint([place, *place.parents]):
            raise JobError(f"{target} would be part of the data set {path}", hint="another export_path")


def is_pattern(path: str | Path) -> bool:
    """Whether a path is a pattern, and not simply the name of something that is there."""
    return _PATTERN.search(str(path)) is not None and not is_there(str(path))


def is_data(path: str | Path) -> bool:
    """Whether something is there: a file, a folder, or a match of the pattern."""
    return is_there(str(path)) or (is_pattern(path) and bool(glob.glob(str(path), recursive=True)))  # noqa: PTH207


def existing_data(paths: Sequence[str], skip_missing: bool) -> list[str]:
    """The data sets that exist.

    Args:
        paths: data sets.
        skip_missing: whether to skip data sets that do not exist, with a warning.

    Raises:
        JobError: one does not exist and `skip_missing` is false, or none exists.
    """
    missing = [path for path in paths if not is_data(path)]
    if missing and not skip_missing:
        raise JobError(
            f"there is no data set at {', '.join(missing)}", hint="skip_missing: true skips missing data sets"
        )
    if len(missing) == len(paths):
        raise JobError(f"none of these data sets exist: {', '.join(paths)}")
    for path in missing:
        logger.warning("there is no data set at {}: skipped", path)
    return [path for path in paths if path not in missing]


def file_format(file: Path) -> str:
    """How a file's rows are written: `jsonl`, `json`, `parquet` or `csv`. What is not known is taken for JSON lines."""
    name = file.name
    for packed in PACKED:
        name = name.removesuffix(packed)
    return FORMS.get(Path(name).suffix, "jsonl")
