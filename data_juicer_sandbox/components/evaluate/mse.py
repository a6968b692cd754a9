"""How far predicted numbers are off."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from jsonargparse.typing import NonNegativeFloat

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun
from data_juicer_sandbox.components.evaluate.pairs import Result, labels_for, measure_all, number, pairs
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.errors import JobError


class MeanSquaredError(Component):
    """The mean of the squared differences between predicted and true numbers, in one data set or several.

    Puts out `results`, a mapping for each data set (`dataset`, `mse`, `rows`, `format_errors`), and `best`, the one of
    the lowest error (the first, should several share it). Numbers written as text count as numbers. A list of
    predictions, such as `n` samples of a model, counts by the mean of those that are numbers.

    A row where either value is missing or no finite number is a format error. It is counted and left out of the mean,
    and data of nothing but format errors fails; unless `format_error_cost` says how much such a row adds. Where
    predictions are compared that differ in their format errors, that is fairer: who answers only what is easy
    would win otherwise.

    Args:
        dataset_path: the data set(s) with the predictions, in any format, folder or pattern (docs/data_pools.md).
        predicted_key: where a row holds the prediction; dots go deeper (`answer.score`, `scores.0`).
        label_key: where a row holds the truth.
        label_path: the data set(s) with the truth, row for row, if another: one for all, or one for each.
        format_error_cost: the squared error that a row without a predicted number counts for.
    """

    outputs = ("results", "best")

    def __init__(
        self,
        dataset_path: InputPaths,
        predicted_key: str = "predicted",
        label_key: str = "label",
        label_path: InputPaths | None = None,
        format_error_cost: NonNegativeFloat | None = None,
    ):
        self.datasets = as_list(dataset_path)
        self.labels = labels_for(self.datasets, label_path)
        self.predicted_key, self.label_key = predicted_key, label_key
        self.cost = format_error_cost

    def run(self, job: JobRun) -> tuple[list[Result], Result]:
        """Returns all results and the best."""
        results = measure_all(job, "mean squared error", self.datasets, self.labels, self._measure)
        return results, min(results, key=lambda result: result["mse"])

    def _measure(self, path: str, labels: str | None) -> Result:
        rows, errors, unlabelled, total = 0, 0, 0, 0.0
        for predicted, label in pairs(path, self.predicted_key, self.label_key, labels):
            rows += 1
            first, second = _middle(predicted), number(label)
            if first is None or second is None:
                errors += 1
                unlabelled += second is None
            else:
                difference = first - second
                total += difference * difference
        counted = rows - errors
        if self.cost is not None:
            counted = rows - unlabelled
            total += self.cost * (errors - unlabelled)
        if not counted:
            what = "there are no rows in" if not rows else f"all {rows:,} rows are format errors in"
            raise JobError(
                f"{what} {path}", hint=f"numbers are wanted under {self.predicted_key!r} and {self.label_key!r}"
            )
        return {"mse": total / counted, "rows": rows, "format_errors": errors}


def _middle(predicted: Any) -> float | None:
    """The number that is predicted; of several the mean."""
    if not isinstance(predicted, list):
        return number(predicted)
    found = [one for one in map(number, predicted) if one is not None]
    return fmean(found) if found else None
