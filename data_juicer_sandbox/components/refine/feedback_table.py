"""The stats of rows beside what a model says of them, as columns."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

from loguru import logger

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.io.get_nested import get_nested
from data_juicer_sandbox.components.pools.stats import STATS
from data_juicer_sandbox.errors import JobError

if TYPE_CHECKING:
    import numpy as np

ROW = "row"
"""The number of a row in the data set that it was drawn from, beside the feedback of a model infer evaluator."""
_HINT = "set `id_key` to a field that both have, if the rows are not the same ones in the same order"
Row = dict[str, Any]


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


def read_table(
    analyzed: str | None, feedback: str, feedback_key: str, id_key: str | None, stats: set[str]
) -> FeedbackTable:
    """Read the rows of both files side by side; only the numbers are held in memory.

    Args:
        analyzed: rows with `__dj__stats__`; None where those with the feedback have them.
        feedback: rows with the feedback.
        feedback_key: where in a row it is; dots go deeper.
        id_key: what to join by; None where the rows stand in the same order, or the feedback tells their numbers.
        stats: the stats that are wanted.

    Raises:
        JobError: the files do not fit each other, no row has the feedback, or none has stats.
    """
    import numpy as np

    key = feedback_key.split(".")
    values = array("d")
    columns = {stat: array("d") for stat in sorted(stats)}
    missing, with_stats = 0, False
    for row, said in _joined(analyzed, feedback, key, id_key):
        number = as_number(get_nested(said, key))
        if math.isnan(number):
            missing += 1
            continue
        values.append(number)
        found = row.get(STATS) or {}
        with_stats = with_stats or bool(found)
        for stat, column in columns.items():
            column.append(as_number(found.get(stat)))
    if not values:
        raise JobError(f"no row of {feedback} has a number at {feedback_key!r}")
    if not with_stats:
        hint = "probe with ProbeViaAnalyzerHook, and name what it puts out as `analyzed_path`"
        raise JobError(f"no row of {analyzed or feedback} has {STATS}", hint=hint)
    if missing:
        logger.warning("{} rows without a number at {!r} are left out", missing, feedback_key)
    return FeedbackTable(np.asarray(values), {stat: np.asarray(column) for stat, column in columns.items()})


def _joined(analyzed: str | None, feedback: str, key: list[str], id_key: str | None) -> Iterator[tuple[Row, Row]]:
    """Each row with stats, and the same one with feedback."""
    if analyzed is None:
        return ((row, row) for row in read_rows(feedback))
    if id_key is not None:
        return _by_id(analyzed, feedback, key, id_key)
    rows = read_rows(feedback)
    first = next(rows, {})
    way = [key[0], ROW]
    numbered = len(key) > 1 and isinstance(get_nested(first, way), int)
    rows = chain([first], rows) if first else rows
    return _by_number(analyzed, feedback, rows, way) if numbered else _in_order(analyzed, feedback, rows)


def _in_order(analyzed: str, feedback: str, rows: Iterator[Row]) -> Iterator[tuple[Row, Row]]:
    for number, (row, said) in enumerate(zip_longest(read_rows(analyzed), rows), 1):
        if row is None or said is None:
            fewer = analyzed if row is None else feedback
            raise JobError(f"{fewer} has only {number - 1} rows, fewer than the other file", hint=_HINT)
        _check_same(row, said, number, analyzed, feedback)
        yield row, said


def _by_number(analyzed: str, feedback: str, rows: Iterator[Row], way: list[str]) -> Iterator[tuple[Row, Row]]:
    numbered = enumerate(read_rows(analyzed))
    last = -1
    for said in rows:
        wanted = get_nested(said, way)
        if not isinstance(wanted, int) or wanted <= last:
            raise JobError(f"the row numbers at {'.'.join(way)!r} of {feedback} do not rise", hint=_HINT)
        for number, row in numbered:
            if number == wanted:
                _check_same(row, said, number + 1, analyzed, feedback)
                yield row, said
                break
        else:
            what = f"{analyzed} has no row {wanted + 1}, on which there is feedback in {feedback}"
            raise JobError(what, hint=_HINT)
        last = wanted


def _by_id(analyzed: str, feedback: str, key: list[str], id_key: str) -> Iterator[tuple[Row, Row]]:
    way = id_key.split(".")
    by_id: dict[str, Any] = {}
    for said in read_rows(feedback):
        name = _identity(get_nested(said, way), feedback, id_key)
        if name in by_id:
            raise JobError(f"{feedback} has more than one row with {id_key} {name}")
        by_id[name] = as_number(get_nested(said, key))
    seen: set[str] = set()
    for row in read_rows(analyzed):
        name = _identity(get_nested(row, way), analyzed, id_key)
        if name in seen:
            raise JobError(f"{analyzed} has more than one row with {id_key} {name}")
        if name in by_id:
            seen.add(name)
            yield row, _nested(key, by_id[name])
    if not seen:
        raise JobError(f"no row of {analyzed} has the {id_key!r} of a row of {feedback}")


def _identity(value: Any, path: str, id_key: str) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except TypeError:  # what says that there is nothing
        raise JobError(f"a row of {path} has no {id_key!r}") from None


def _nested(key: list[str], value: Any) -> Row:
    for part in reversed(key):
        value = {part: value}
    return dict(value)


def _check_same(row: Row, said: Row, number: int, analyzed: str, feedback: str) -> None:
    """Refuse rows that cannot be the same one: Data-Juicer may add fields and nulls, but it keeps texts and numbers."""
    for name, value in row.items():
        if isinstance(value, str | int) and isinstance(said.get(name), str | int) and value != said[name]:
            raise JobError(
                f"row {number} of {analyzed} is not the one in {feedback}: they differ in {name!r}", hint=_HINT
            )


def as_number(value: Any) -> float:
    """A finite number, or NaN; of a list the mean."""
    if isinstance(value, list):
        numbers = [number for one in value if not math.isnan(number := as_number(one))]
        return sum(numbers) / len(numbers) if numbers else math.nan
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return math.nan
