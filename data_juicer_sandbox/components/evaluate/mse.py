"""How far predicted numbers are off."""

from __future__ import annotations

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun
from data_juicer_sandbox.components.evaluate.pairs import Result, labels_for, measure_all, number, pairs
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.errors import JobError


class MeanSquaredError(Component):
    """The mean of the squared differences between predicted and true numbers, in one data set or several.

    Puts out `results`, a mapping for each data set (`dataset`, `mse`, `rows`, `format_errors`), and `best`, the one of
    the lowest error (the first, should several share it). A row where either value is missing or no finite number is a
    format error and left out of the mean; numbers written as text count as numbers. Data of nothing but format errors
    fails.

    Args:
        dataset_path: the data set(s) with the predictions, in any format, folder or pattern (docs/data_pools.md).
        predicted_key: where a row holds the prediction; dots go deeper (`answer.score`, `scores.0`).
        label_key: where a row holds the truth.
        label_path: the data set(s) with the truth, row for row, if another: one for all, or one for each.
    """

    outputs = ("results", "best")

    def __init__(
        self,
        dataset_path: InputPaths,
        predicted_key: str = "predicted",
        label_key: str = "label",
        label_path: InputPaths | None = None,
    ):
        self.datasets = as_list(dataset_path)
        self.labels = labels_for(self.datasets, label_path)
        self.predicted_key, self.label_key = predicted_key, label_key

    def run(self, job: JobRun) -> tuple[list[Result], Result]:
        """Returns all results and the best."""
        results = measure_all(job, "mean squared error", self.datasets, self.labels, self._measure)
        return results, min(results, key=lambda result: result["mse"])

    def _measure(self, path: str, labels: str | None) -> Result:
        rows, errors, total = 0, 0, 0.0
        for predicted, label in pairs(path, self.predicted_key, self.label_key, labels):
            rows += 1
            first, second = number(predicted), number(label)
            if first is None or second is None:
                errors += 1
            else:
                difference = first - second
                total += difference * difference
        if errors == rows:
            what = "there are no rows in" if not rows else f"all {rows:,} rows are format errors in"
            raise JobError(
                f"{what} {path}", hint=f"numbers are wanted under {self.predicted_key!r} and {self.label_key!r}"
            )
        return {"mse": total / (rows - errors), "rows": rows, "format_errors": errors}
