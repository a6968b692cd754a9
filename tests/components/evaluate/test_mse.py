from __future__ import annotations

import pytest

from data_juicer_sandbox.components.evaluate.mse import MeanSquaredError
from data_juicer_sandbox.errors import JobError


def test_the_mean_leaves_format_errors_out_and_counts_them(job, quiet, jsonl):
    pairs = [(1, 3), ("2.5", 2), (None, 1), ("two", 2), (True, 1), ("nan", 1), (1, "inf"), ({"a": 1}, 1)]
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


def test_of_several_predictions_their_mean_counts(job, jsonl):
    rows = [([1, "3"], 5), ([None, 4, "x"], 4), ([None], 1), ([], 1), ([[2]], 1)]
    path = jsonl("a.jsonl", [{"predicted": first, "label": second} for first, second in rows])
    assert MeanSquaredError(path).run(job)[1] == {"dataset": path, "mse": 4.5, "rows": 5, "format_errors": 3}


def test_format_errors_at_a_cost(job, jsonl):
    rows = [{"predicted": 3, "label": 1}, {"predicted": "?", "label": 1}, {"label": 2}]
    path = jsonl("a.jsonl", [*rows, {"predicted": 1}])  # a row without a truth says nothing of the prediction
    best = MeanSquaredError(path, format_error_cost=10).run(job)[1]
    assert best == {"dataset": path, "mse": (4 + 10 + 10) / 3, "rows": 4, "format_errors": 3}
    assert MeanSquaredError(jsonl("b.jsonl", rows[1:]), format_error_cost=0).run(job)[1]["mse"] == 0
    with pytest.raises(JobError, match="all 1 rows are format errors"):
        MeanSquaredError(jsonl("c.jsonl", [{"predicted": 1}]), format_error_cost=10).run(job)


def test_large_integers_are_subtracted_exactly(job, jsonl):
    big = 2**53
    cases = [
        (big + 1, big, 1),
        (str(big + 3), big, 9),
        ([big + 1, big + 3], big, 4),
        (big + 1, big / 2, (big / 2) ** 2),
    ]
    for number, (predicted, label, error) in enumerate(cases):
        path = jsonl(f"{number}.jsonl", [{"predicted": predicted, "label": label}])
        assert MeanSquaredError(path).run(job)[1]["mse"] == pytest.approx(error)
