"""Pairs of predicted and true values, from one data set or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import zip_longest

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.parse import get_nested
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import JsonValue, Metrics

Result = Metrics
EXACT = 2.0**53
"""Floats below this hold every integer exactly."""


def pairs(
    path: str, predicted_key: str, label_key: str, label_path: str | None, allowance: Allowance
) -> Iterator[tuple[JsonValue, JsonValue]]:
    """Yield the predicted and the true value of each row; `MISSING` for a missing value.

    Args:
        path: the data set with the predictions.
        predicted_key: field of the prediction; dots access nested fields.
        label_key: field of the true value.
        label_path: the data set with the true values in the same row order; None: the same data set.
        allowance: the invalid rows that are skipped, if there is no `label_path`.

    Raises:
        JobError: the two data sets have different lengths.
    """
    predicted_keys, label_keys = predicted_key.split("."), label_key.split(".")
    if label_path is None:
        for row in read_rows(path, allowance):
            yield get_nested(row, predicted_keys), get_nested(row, label_keys)
        return
    rows, labels = read_rows(path), read_rows(label_path)
    for count, (row, label) in enumerate(zip_longest(rows, labels)):
        if row is None or label is None:
            longer_count = count + 1 + sum(1 for _ in (labels if row is None else rows))
            counts = (count, longer_count) if row is None else (longer_count, count)
            raise JobError(f"{path} has {counts[0]:,} rows, its labels in {label_path} {counts[1]:,}")
        yield get_nested(row, predicted_keys), get_nested(label, label_keys)


def number(value: object) -> int | float | None:
    """Convert a number or a text to a finite number; integers stay integers, since floats above 2^53 would merge some.

    Returns:
        The number; None if the value is none, or lies beyond the range of floats.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        converted = float(value)
        if converted - converted != 0:
            return None
        if abs(converted) < EXACT or isinstance(value, float):
            return converted
        return int(value) if isinstance(value, int) else _exact(value, converted)
    except (ValueError, OverflowError):
        return None


def _exact(text: str, converted: float) -> int | float:
    """The number in a text that is too large for an exact float."""
    try:
        decimal = Decimal(text)
    except InvalidOperation:
        return converted
    return int(decimal) if decimal == decimal.to_integral_value() else converted


def difference(first: float | Fraction, second: float | Fraction) -> float:
    """The difference of two numbers, rounded only once, also if integers above 2^53 are among them."""
    if isinstance(first, float) and isinstance(second, float):
        return first - second
    return float(Fraction(first) - Fraction(second))


def labels_for(datasets: list[str], label_path: str | list[str] | None, skip_bad_rows: int) -> list[str | None]:
    """The label data set for each data set: one for all, one for each, or none.

    Raises:
        ConfigError: the number of paths does not match, or rows may be skipped, so that labels would lose theirs.
    """
    if skip_bad_rows and label_path is not None:
        raise ConfigError("skip_bad_rows and label_path exclude each other", hint="rows and labels go by their order")
    labels: list[str | None] = [None] if label_path is None else list(as_list(label_path))
    if len(labels) not in (1, len(datasets)):
        raise ConfigError(
            f"{len(labels)} paths in label_path for {len(datasets)} in dataset_path", hint="one, or as many"
        )
    return labels * len(datasets) if len(labels) == 1 else labels


def measure_all(
    job: JobRun,
    description: str,
    datasets: list[str],
    labels: list[str | None],
    measure: Callable[[str, str | None, Allowance], Result],
    skip_bad_rows: int,
) -> list[Result]:
    """Compute the metrics of each data set; they are reported under the data sets' names."""
    results, allowance = [], Allowance(skip_bad_rows)
    with job.progress.task(description, total=len(datasets)) as task:
        for name, path, label_path in zip(distinct_names(datasets), datasets, labels, strict=True):
            metrics = measure(path, label_path, allowance)
            results.append({"dataset": path, **metrics})
            job.watcher.watch({name: metrics})
            task.advance(1)
    allowance.report(job)
    return results
