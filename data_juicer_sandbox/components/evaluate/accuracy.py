"""Accuracy of predicted labels."""

from __future__ import annotations

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun
from data_juicer_sandbox.components.evaluate.pairs import Result, labels_for, measure_all, number, pairs
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.io.parse import MISSING
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.errors import JobError


class Accuracy(Component):
    """Compare predicted labels with the true labels, in one data set or several.

    A label is a text, a number, a truth value, or a list of them. The outputs are `results`, a mapping per data set
    (`dataset`, `accuracy` from 0 to 1, `rows`, `correct`, `format_errors`), and `best`, the result with the highest
    accuracy (the first of equal ones). A row in which either value is missing, null or a mapping is a format error and
    counts as wrong.

    Args:
        dataset_path: one or several data sets with predictions, in any format, folder or pattern (docs/data_pools.md).
        predicted_key: field of the prediction; dots access nested fields (`answer.label`, `choices.0`).
        label_key: field of the true label.
        label_path: data sets with the true labels in the same row order, if separate: one for all, or one for each.
        normalize: ignore case and surrounding white space of texts, and compare a number in a text by its value.
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object); they are counted, named
            in the log and skipped. Not with `label_path`.
    """

    outputs = ("results", "best")
    metrics = (*metric_keys("accuracy", "rows", "correct", "format_errors", under="{dataset_path}"), *BAD_ROWS)
    numbers = number_keys(
        results=("<n>.accuracy", "<n>.rows", "<n>.correct", "<n>.format_errors"),
        best=("accuracy", "rows", "correct", "format_errors"),
    )

    def __init__(
        self,
        dataset_path: InputPaths,
        predicted_key: str = "predicted",
        label_key: str = "label",
        label_path: InputPaths | None = None,
        normalize: bool = True,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        self.datasets = as_list(dataset_path)
        self.labels, self.skip_bad_rows = labels_for(self.datasets, label_path, skip_bad_rows), skip_bad_rows
        self.predicted_key, self.label_key, self.normalize = predicted_key, label_key, normalize

    def run(self, job: JobRun) -> tuple[list[Result], Result]:
        """Returns all results and the best."""
        results = measure_all(job, "accuracy", self.datasets, self.labels, self._measure, self.skip_bad_rows)
        return results, max(results, key=lambda result: result["accuracy"])

    def _measure(self, path: str, labels: str | None, allowance: Allowance) -> Result:
        rows = correct = errors = 0
        for predicted, label in pairs(path, self.predicted_key, self.label_key, labels, allowance):
            rows += 1
            if is_label(predicted) and is_label(label):
                correct += self._same(predicted, label)
            else:
                errors += 1
        if not rows:
            raise JobError(f"there are no rows in {path}")
        if errors == rows:
            keys = f"{self.predicted_key!r} and {self.label_key!r}"
            raise JobError(
                f"no row of {path} has a label under {keys}",
                hint="check predicted_key and label_key; dots access nested fields",
            )
        return {"accuracy": correct / rows, "rows": rows, "correct": correct, "format_errors": errors}

    def _same(self, predicted: object, label: object) -> bool:
        if not self.normalize:
            return type(predicted) is type(label) and bool(predicted == label)
        if isinstance(predicted, str) and isinstance(label, str):
            return predicted == label or predicted.strip().casefold() == label.strip().casefold()
        if isinstance(predicted, list) and isinstance(label, list):
            return len(predicted) == len(label) and all(map(self._same, predicted, label))
        if isinstance(predicted, bool) or isinstance(label, bool):
            return str(predicted).strip().casefold() == str(label).strip().casefold()
        first, second = number(predicted), number(label)
        return first is not None and first == second


def is_label(value: object) -> bool:
    """Whether a value can be compared as a label."""
    return value is not MISSING and value is not None and not isinstance(value, dict)
