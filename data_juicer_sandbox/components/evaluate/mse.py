"""Mean squared error of predicted numbers."""

from __future__ import annotations

from fractions import Fraction
from statistics import fmean

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun
from data_juicer_sandbox.components.evaluate.pairs import Result, difference, labels_for, measure_all, number, pairs
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import NonNegativeFloat, NonNegativeInt
from data_juicer_sandbox.errors import JobError


class MeanSquaredError(Component):
    """The mean squared error between predicted and true numbers, in one data set or several.

    The outputs are `results`, a mapping per data set (`dataset`, `mse`, `rows`, `format_errors`), and `best`, the
    result with the lowest error (the first of equal ones). Numbers in texts are converted. A list of predictions, such
    as `n` samples of a model, is replaced by the mean of its numbers.

    A row in which either value is missing or not a finite number is a format error. It is counted and excluded from the
    mean; a data set with format errors only fails. With `format_error_cost`, such a row adds that error instead. Use it
    to compare predictions with different numbers of format errors: a model that answers only easy rows would have the
    lowest error otherwise.

    Args:
        dataset_path: one or several data sets with predictions, in any format, folder or pattern (docs/data_pools.md).
        predicted_key: field of the prediction; dots access nested fields (`answer.score`, `scores.0`).
        label_key: field of the true number.
        label_path: data sets with the true numbers in the same row order, if separate: one for all, or one for each.
        format_error_cost: squared error of a row without a predicted number.
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object); they are counted, named
            in the log and skipped. Not with `label_path`.
    """

    outputs = ("results", "best")
    metrics = (*metric_keys("mse", "rows", "format_errors", under="{dataset_path}"), *BAD_ROWS)
    numbers = number_keys(
        results=("<n>.mse", "<n>.rows", "<n>.format_errors"),
        best=("mse", "rows", "format_errors"),
    )

    def __init__(
        self,
        dataset_path: InputPaths,
        predicted_key: str = "predicted",
        label_key: str = "label",
        label_path: InputPaths | None = None,
        format_error_cost: NonNegativeFloat | None = None,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        self.datasets = as_list(dataset_path)
        self.labels, self.skip_bad_rows = labels_for(self.datasets, label_path, skip_bad_rows), skip_bad_rows
        self.predicted_key, self.label_key = predicted_key, label_key
        self.cost = format_error_cost

    def run(self, job: JobRun) -> tuple[list[Result], Result]:
        """Returns all results and the best."""
        results = measure_all(job, "mean squared error", self.datasets, self.labels, self._measure, self.skip_bad_rows)
        return results, min(results, key=lambda result: result["mse"])

    def _measure(self, path: str, labels: str | None, allowance: Allowance) -> Result:
        rows, errors, unlabelled, total = 0, 0, 0, 0.0
        for predicted, label in pairs(path, self.predicted_key, self.label_key, labels, allowance):
            rows += 1
            prediction, true_number = _prediction(predicted), number(label)
            if prediction is None or true_number is None:
                errors += 1
                unlabelled += true_number is None
            else:
                error = difference(prediction, true_number)
                total += error * error
        counted = rows - errors
        if self.cost is not None:
            counted = rows - unlabelled
            total += self.cost * (errors - unlabelled)
        if not counted:
            problem = "there are no rows in" if not rows else f"all {rows:,} rows are format errors in"
            raise JobError(
                f"{problem} {path}", hint=f"expected numbers under {self.predicted_key!r} and {self.label_key!r}"
            )
        return {"mse": total / counted, "rows": rows, "format_errors": errors}


def _prediction(predicted: object) -> float | Fraction | None:
    """The predicted number; for a list, the mean of its numbers."""
    if not isinstance(predicted, list):
        return number(predicted)
    numbers = [value for value in map(number, predicted) if value is not None]
    if any(isinstance(value, int) for value in numbers):
        return sum(map(Fraction, numbers), Fraction(0)) / len(numbers)
    return fmean(numbers) if numbers else None
