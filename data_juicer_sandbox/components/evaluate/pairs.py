"""Predicted and true values, side by side, out of one file or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.io.get_nested import get_nested
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.errors import ConfigError, JobError

Result = dict[str, Any]


def pairs(path: str, predicted_key: str, label_key: str, label_path: str | None) -> Iterator[tuple[Any, Any]]:
    """The predicted and the true value of each row, `MISSING` for what is not there.

    Args:
        path: the data set with the predictions.
        predicted_key: where a row holds the prediction; dots go deeper.
        label_key: where a row holds the truth.
        label_path: the data set with the truth, row for row; the same one when None.

    Raises:
        JobError: two files of different length.
    """
    predicted, wanted = predicted_key.split("."), label_key.split(".")
    if label_path is None:
        for row in read_rows(path):
            yield get_nested(row, predicted), get_nested(row, wanted)
        return
    rows, labels = read_rows(path), read_rows(label_path)
    for count, (row, label) in enumerate(zip_longest(rows, labels)):
        if row is None or label is None:
            longer = count + 1 + sum(1 for _ in (labels if row is None else rows))
            counts = (count, longer) if row is None else (longer, count)
            raise JobError(f"{path} has {counts[0]:,} rows, its labels in {label_path} {counts[1]:,}")
        yield get_nested(row, predicted), get_nested(label, wanted)


def number(value: Any) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if found - found == 0 else None


def labels_for(datasets: list[str], label_path: str | list[str] | None) -> list[str | None]:
    """The file with the truth for each data set: one for all, one for each, or none.

    Raises:
        ConfigError: their number fits neither.
    """
    labels: list[str | None] = [None] if label_path is None else list(as_list(label_path))
    if len(labels) not in (1, len(datasets)):
        raise ConfigError(
            f"{len(labels)} paths in label_path for {len(datasets)} in dataset_path", hint="one, or as many"
        )
    return labels * len(datasets) if len(labels) == 1 else labels


def measure_all(
    job: JobRun,
    what: str,
    datasets: list[str],
    labels: list[str | None],
    measure: Callable[[str, str | None], Result],
) -> list[Result]:
    """Measure each data set against its labels; the results are watched under the data sets' names."""
    results = []
    with job.progress.task(what, total=len(datasets)) as task:
        for name, path, label_path in zip(distinct_names(datasets), datasets, labels, strict=True):
            found = measure(path, label_path)
            results.append({"dataset": path, **found})
            job.watcher.watch({name: found})
            task.advance(1)
    return results
