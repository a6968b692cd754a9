"""The stats of rows beside what a model says of them, as columns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from loguru import logger

from data_juicer_sandbox.components.rows import read_rows
from data_juicer_sandbox.errors import JobError

if TYPE_CHECKING:
    import numpy as np

_STATS = "__dj__stats__"


@dataclass(frozen=True)
class FeedbackTable:
    """Columns of the same length.

    Args:
        feedback: finite numbers, shape (rows,).
        stats: by the stat's name, shape (rows,); NaN where a row does not have it. A stat with several values for a row
            (one for each image, say) counts by their mean.
    """

    feedback: np.ndarray
    stats: dict[str, np.ndarray]


def read_table(analyzed: str, feedback: str, feedback_key: str, id_key: str | None, stats: set[str]) -> FeedbackTable:
    """Read the two files side by side; only the numbers are held in memory.

    Args:
        analyzed: rows with `__dj__stats__`.
        feedback: rows with the feedback.
        feedback_key: where in a row it is; dots go deeper.
        id_key: what to join by; None where the rows stand in the same order.
        stats: the stats that are wanted.

    Raises:
        JobError: the files do not fit each other, or no row has the feedback.
    """
    import numpy as np

    values: list[float] = []
    columns: dict[str, list[float]] = {stat: [] for stat in sorted(stats)}
    missing = 0
    for row, said in _joined(analyzed, feedback, feedback_key, id_key):
        number = _number(said)
        if math.isnan(number):
            missing += 1
            continue
        values.append(number)
        found = row.get(_STATS) or {}
        for stat, column in columns.items():
            column.append(_number(found.get(stat)))
    if not values:
        raise JobError(f"no row of {feedback} has a number at {feedback_key!r}")
    if missing:
        logger.warning("{} rows without a number at {!r} are left out", missing, feedback_key)
    return FeedbackTable(np.asarray(values), {stat: np.asarray(column) for stat, column in columns.items()})


def _joined(analyzed: str, feedback: str, key: str, id_key: str | None) -> Iterator[tuple[dict[str, Any], Any]]:
    if id_key is None:
        for number, (row, said) in enumerate(zip_longest(read_rows(analyzed), read_rows(feedback)), 1):
            if row is None or said is None:
                fewer = analyzed if row is None else feedback
                hint = "set `id_key` to a field that both have, if the rows are not the same ones in the same order"
                raise JobError(f"{fewer} has only {number - 1} rows, fewer than the other file", hint=hint)
            yield row, dig(said, key)
        return
    by_id: dict[str, Any] = {}
    for said in read_rows(feedback):
        name = _identity(dig(said, id_key))
        if name in by_id:
            raise JobError(f"{feedback} has more than one row with {id_key} {name}")
        by_id[name] = dig(said, key)
    matched = 0
    for row in read_rows(analyzed):
        name = _identity(dig(row, id_key))
        if name in by_id:
            matched += 1
            yield row, by_id[name]
    if not matched:
        raise JobError(f"no row of {analyzed} has the {id_key!r} of a row of {feedback}")


def dig(row: Any, key: str) -> Any:
    """The value at a key whose dots go deeper; None where there is none."""
    for part in key.split("."):
        if isinstance(row, dict):
            row = row.get(part)
        elif isinstance(row, list) and part.isdigit() and int(part) < len(row):
            row = row[int(part)]
        else:
            return None
    return row


def _identity(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _number(value: Any) -> float:
    """A finite number, or NaN; of a list the mean."""
    if isinstance(value, list):
        numbers = [number for one in value if not math.isnan(number := _number(one))]
        return sum(numbers) / len(numbers) if numbers else math.nan
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return math.nan
