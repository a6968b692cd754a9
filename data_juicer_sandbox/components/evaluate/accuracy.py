"""The part of predictions that are right."""

from __future__ import annotations

from typing import Any

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun
from data_juicer_sandbox.components.evaluate.pairs import Result, labels_for, measure_all, number, pairs
from data_juicer_sandbox.components.io.get_nested import MISSING
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.errors import JobError


class Accuracy(Component):
    """Compare predicted labels with the true ones, in one data set or several.

    A label is a text, a number, a truth value, or a list of them. Puts out `results`, a mapping for each data set
    (`dataset`, `accuracy` from 0 to 1, `rows`, `correct`, `format_errors`), and `best`, the one of the highest
    accuracy (the first, should several share it). A row where either value is missing, null or a mapping is a format
    error and counts as wrong.

    Args:
        dataset_path: the data set(s) with the predictions, in any format, folder or pattern (docs/data_pools.md).
        predicted_key: where a row holds the prediction; dots go deeper (`answer.label`, `choices.0`).
        label_key: where a row holds the truth.
        label_path: the data set(s) with the truth, row for row, if another: one for all, or one for each.
        normalize: compare texts without case and outer blanks, and a text that is a number with a number by value.
    """

    outputs = ("results", "best")

    def __init__(
        self,
        dataset_path: InputPaths,
        predicted_key: str = "predicted",
        label_key: str = "label",
        label_path: InputPaths | None = None,
        normalize: bool = True,
    ):
        self.datasets = as_list(dataset_path)
        self.labels = labels_for(self.datasets, label_path)
        self.predicted_key, self.label_key, self.normalize = predicted_key, label_key, normalize

    def run(self, job: JobRun) -> tuple[list[Result], Result]:
        """Returns all results and the best."""
        results = measure_all(job, "accuracy", self.datasets, self.labels, self._measure)
        return results, max(results, key=lambda result: result["accuracy"])

    def _measure(self, path: str, labels: str | None) -> Result:
        rows = correct = errors = 0
        for predicted, label in pairs(path, self.predicted_key, self.label_key, labels):
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
                f"no row of {path} has a label under {keys}", hint="predicted_key, label_key: dots go deeper"
            )
        return {"accuracy": correct / rows, "rows": rows, "correct": correct, "format_errors": errors}

    def _same(self, predicted: Any, label: Any) -> bool:
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


def is_label(value: Any) -> bool:
    """Whether a value can be compared as a label."""
    return value is not MISSING and value is not None and not isinstance(value, dict)
