"""The overall table of a data analyzer: the numbers of each stat, in a file that other jobs read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.types import LibraryObject

FILE = "overall.json"
"""Name of the file in the job's folder: one JSON object with numbers at `<stat>.<row>`, such as `text_len.mean`."""


def overall_values(table: LibraryObject) -> dict[str, float]:
    """The numbers of an overall table as `<stat>.<row>`; other values, such as `top` of a string stat, are omitted."""
    import pandas as pd

    numbers = table.apply(pd.to_numeric, errors="coerce")
    return {
        f"{stat}.{row}": float(numbers.at[row, stat])
        for stat in numbers.columns
        for row in numbers.index
        if pd.notna(numbers.at[row, stat])
    }


def has_means(values: Mapping[str, object]) -> bool:
    """Whether values contain an overall table: the mean of at least one stat."""
    return any(key.endswith(".mean") for key in values)


def write_table(folder: Path, values: Mapping[str, float]) -> None:
    """Write the table into a job's folder, atomically."""
    with replacing(folder / FILE) as part:
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_table(path: Path) -> dict[str, float] | None:
    """The table in a file; None if the file does not exist.

    Raises:
        JobError: the file cannot be read, or contains no table.
    """
    try:
        values = loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read: {error}", hint="run the probe again") from error
    if not isinstance(values, dict) or not has_means(values):
        raise JobError(f"{path} is not the overall table of a data analyzer", hint=f"{FILE} in the probe's folder")
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise JobError(f"{path}: expected a number at {key!r}, got {value!r}", hint="run the probe again")
    return values
