"""`FeedbackTable`: stats of rows and a model's feedback on them, as columns."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.io.parse import get_nested
from data_juicer_sandbox.components.pools.stats import STATS, stat_value
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import JsonValue, Row

if TYPE_CHECKING:
    import numpy as np

ROW = "row"
"""Key of a row's index in the original data set, which a model infer evaluator writes next to its feedback."""
_HINT = "if the files do not have the same rows in the same order, set `id_key` to a field of both"


@dataclass(frozen=True)
class FeedbackTable:
    """Columns of the same length.

    Args:
        feedback: finite numbers, shape (rows,).
        stats: columns by the stat's name, shape (rows,); NaN if a row does not have it; see `stat_value`.
    """

    feedback: np.ndarray
    stats: dict[str, np.ndarray]


def read_table(
    analyzed: str | None, feedback: str, feedback_key: str, id_key: str | None, stats: set[str]
) -> FeedbackTable:
    """Join the rows of both files; only the numbers are kept in memory.

    Args:
        analyzed: rows with `__dj__stats__`; None if the rows with feedback have them.
        feedback: rows with the feedback.
        feedback_key: the key of the feedback in a row; dots separate nested keys.
        id_key: the field to join by; None if the rows are in the same order, or the feedback contains their indices.
        stats: the stats to read.

    Raises:
        JobError: the files do not match, no row has the feedback, or none has stats.
    """
    import numpy as np

    key = feedback_key.split(".")
    values = array("d")
    columns = {stat: array("d") for stat in sorted(stats)}
    n_missing, with_stats = 0, False
    for row, feedback_row in _joined(analyzed, feedback, key, id_key):
        number = stat_value(get_nested(feedback_row, key), booleans=True)
        if math.isnan(number):
            n_missing += 1
            continue
        values.append(number)
        row_stats = row.get(STATS) or {}
        with_stats = with_stats or bool(row_stats)
        for stat, column in columns.items():
            column.append(stat_value(row_stats.get(stat)))
    if not values:
        raise JobError(f"no row of {feedback} has a number at {feedback_key!r}")
    if not with_stats:
        hint = "probe with ProbeViaAnalyzerHook, and set `analyzed_path` to its output"
        raise JobError(f"no row of {analyzed or feedback} has {STATS}", hint=hint)
    if n_missing:
        logger.warning("{} rows without a number at {!r} are left out", n_missing, feedback_key)
    return FeedbackTable(np.asarray(values), {stat: np.asarray(column) for stat, column in columns.items()})


def _joined(analyzed: str | None, feedback: str, key: list[str], id_key: str | None) -> Iterator[tuple[Row, Row]]:
    """Pairs of the same row, with stats and with feedback."""
    if analyzed is None:
        return ((row, row) for row in read_rows(feedback))
    if id_key is not None:
        return _by_id(analyzed, feedback, key, id_key)
    rows = read_rows(feedback)
    first = next(rows, {})
    number_path = [key[0], ROW]
    numbered = len(key) > 1 and isinstance(get_nested(first, number_path), int)
    rows = chain([first], rows) if first else rows
    return _by_number(analyzed, feedback, rows, number_path) if numbered else _in_order(analyzed, feedback, rows)


def _in_order(analyzed: str, feedback: str, rows: Iterator[Row]) -> Iterator[tuple[Row, Row]]:
    for number, (row, feedback_row) in enumerate(zip_longest(read_rows(analyzed), rows), 1):
        if row is None or feedback_row is None:
            fewer = analyzed if row is None else feedback
            raise JobError(f"{fewer} has only {number - 1} rows, fewer than the other file", hint=_HINT)
        _check_same(row, feedback_row, number, analyzed, feedback)
        yield row, feedback_row


def _by_number(analyzed: str, feedback: str, rows: Iterator[Row], number_path: list[str]) -> Iterator[tuple[Row, Row]]:
    numbered = enumerate(read_rows(analyzed))
    last = -1
    for feedback_row in rows:
        target_number = get_nested(feedback_row, number_path)
        if not isinstance(target_number, int) or target_number <= last:
            raise JobError(f"the row numbers at {'.'.join(number_path)!r} of {feedback} are not ascending", hint=_HINT)
        for number, row in numbered:
            if number == target_number:
                _check_same(row, feedback_row, number + 1, analyzed, feedback)
                yield row, feedback_row
                break
        else:
            what = f"{analyzed} has no row {target_number + 1}, but {feedback} has feedback on it"
            raise JobError(what, hint=_HINT)
        last = target_number


def _by_id(analyzed: str, feedback: str, key: list[str], id_key: str) -> Iterator[tuple[Row, Row]]:
    id_path = id_key.split(".")
    by_id: dict[str, float] = {}
    for feedback_row in read_rows(feedback):
        row_id = _identity(get_nested(feedback_row, id_path), feedback, id_key)
        if row_id in by_id:
            raise JobError(f"{feedback} has more than one row with {id_key} {row_id}")
        by_id[row_id] = stat_value(get_nested(feedback_row, key), booleans=True)
    matched_ids: set[str] = set()
    for row in read_rows(analyzed):
        row_id = _identity(get_nested(row, id_path), analyzed, id_key)
        if row_id in matched_ids:
            raise JobError(f"{analyzed} has more than one row with {id_key} {row_id}")
        if row_id in by_id:
            matched_ids.add(row_id)
            yield row, _nested(key, by_id[row_id])
    if not matched_ids:
        raise JobError(f"no row of {analyzed} has the {id_key!r} of a row of {feedback}")


def _identity(value: object, path: str, id_key: str) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except TypeError:  # the value is MISSING, which JSON cannot encode
        raise JobError(f"a row of {path} has no {id_key!r}") from None


def _nested(key: list[str], value: JsonValue) -> Row:
    for part in reversed(key):
        value = {part: value}
    return dict(value)


def _check_same(row: Row, feedback_row: Row, number: int, analyzed: str, feedback: str) -> None:
    """Check that both may be the same row: Data-Juicer may add fields and nulls, but keeps texts and numbers."""
    for name, value in row.items():
        if (
            isinstance(value, str | int)
            and isinstance(feedback_row.get(name), str | int)
            and value != feedback_row[name]
        ):
            raise JobError(
                f"row {number} of {analyzed} is not the one in {feedback}: they differ in {name!r}", hint=_HINT
            )
