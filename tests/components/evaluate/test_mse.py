from __future__ import annotations

import pytest

from data_juicer_sandbox.components.evaluate.mse import MeanSquaredError
from data_juicer_sandbox.errors import JobError


def test_the_mean_leaves_format_errors_out_and_counts_them(job, quiet, jsonl):
    pairs = [(1, 3), ("2.5", 2), (None, 1), ("two", 2), (True, 1), ("nan", 1), (1, "inf"), ([1], 1)]
    path = jsonl("a.jsonl", [{"p": {"score": first}, "t": second} for first, second in pairs] + [{"t": 1}])
    results, best = MeanSquaredError(path, "p.score", "t").run(job)
    assert results == [{"dataset": path, "mse": (4 + 0.25) / 2, "rows": 9, "format_errors": 7}]
    assert best == results[0]
    assert quiet.values[0][1]["a"]["mse"] == best["mse"]


def test_the_lowest_is_the_best(job, jsonl):
    paths = [
        jsonl(f"{name}.jsonl", [{"predicted": value, "label": 0}]) for name, value in (("a", 2), ("b", 0), ("c", -0.0))
    ]
    results, best = MeanSquaredError(paths).run(job)
    assert [result["mse"] for result in results] == [4.0, 0.0, 0.0]
    assert best is results[1]


def test_labels_of_their_own_and_different_length(job, jsonl):
    predicted = jsonl("p.jsonl", [{"predicted": 1}, {"predicted": 2}])
    labels = jsonl("l.jsonl", [{"label": 1}, {"label": 4}])
    assert MeanSquaredError(predicted, label_path=labels).run(job)[1]["mse"] == 2.0
    with pytest.raises(JobError, match=r"has 2 rows, its labels in .* 1"):
        MeanSquaredError(predicted, label_path=jsonl("s.jsonl", [{"label": 1}])).run(job)


def test_nothing_but_format_errors_fails(job, jsonl):
    with pytest.raises(JobError, match=r"all 2 rows are format errors in .*under 'predicted' and 'label'"):
        MeanSquaredError(jsonl("a.jsonl", [{"label": 1}, {"predicted": "?", "label": 1}])).run(job)
    with pytest.raises(JobError, match="there are no rows"):
        MeanSquaredError(jsonl("b.jsonl", [])).run(job)
