from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.accuracy import Accuracy
from data_juicer_sandbox.errors import ConfigError, JobError


def rows(*pairs):
    return [{"predicted": predicted, "label": label} for predicted, label in pairs]


def test_right_wrong_and_format_errors(job, quiet, jsonl):
    path = jsonl("a.jsonl", [*rows(("x", "x"), ("x", "y"), (None, "x"), ({"a": 1}, "x")), {"label": "x"}])
    results, best = Accuracy(path).run(job)
    assert results == [{"dataset": path, "accuracy": 0.2, "rows": 5, "correct": 1, "format_errors": 3}]
    assert best == results[0]
    assert quiet.values == [(None, {"a": {"accuracy": 0.2, "rows": 5, "correct": 1, "format_errors": 3}})]


@pytest.mark.parametrize(
    ("predicted", "label", "normalized", "exact"),
    [
        (" Yes\n", "yes", True, False),
        ("7", 7, True, False),
        (7.0, 7, True, False),
        ("true", True, True, False),
        (True, 1, False, False),
        (1, 1, True, True),
        ("007", "7", False, False),
        (["A", "b"], ["a", "B "], True, False),
        (["a"], ["a", "b"], False, False),
        ("a", ["a"], False, False),
        ("nan", "NaN", True, False),
        ("seven", 7, False, False),
    ],
)
def test_what_counts_as_the_same(job, jsonl, predicted, label, normalized, exact):
    path = jsonl("a.jsonl", rows((predicted, label)))
    assert Accuracy(path).run(job)[1]["accuracy"] == normalized
    assert Accuracy(path, normalize=False).run(job)[1]["accuracy"] == exact


def test_keys_with_dots_and_labels_in_a_file_of_their_own(job, jsonl, tmp_path):
    predicted = jsonl("p.jsonl", [{"answer": {"choices": ["a", "b"]}}, {"answer": {"choices": ["a"]}}])
    truth = tmp_path / "t.jsonl.gz"
    truth.write_bytes(gzip.compress(b'{"gold": {"label": "b"}}\n{"gold": {"label": "b"}}\n'))
    evaluator = Accuracy(predicted, "answer.choices.1", "gold.label", str(truth))
    assert evaluator.run(job)[1] == {
        "dataset": predicted,
        "accuracy": 0.5,
        "rows": 2,
        "correct": 1,
        "format_errors": 1,
    }


def test_several_data_sets_and_the_first_best(job, jsonl):
    paths = [
        jsonl("a.jsonl", rows(("x", "y"), ("x", "x"))),
        jsonl("b.jsonl", rows(("x", "x"))),
        jsonl("c.jsonl", rows(("y", "y"))),
    ]
    results, best = Accuracy(paths).run(job)
    assert [result["accuracy"] for result in results] == [0.5, 1.0, 1.0]
    assert best is results[1]
    truth = [jsonl("ta.jsonl", [{"gold": "x"}, {"gold": "x"}]), jsonl("tb.jsonl", [{"gold": "z"}])]
    results, _ = Accuracy(paths[:2], label_key="gold", label_path=truth).run(job)
    assert [result["accuracy"] for result in results] == [1.0, 0.0]
    with pytest.raises(ConfigError, match=r"2 paths in label_path for 3 in dataset_path"):
        Accuracy(paths, label_path=truth)


@pytest.mark.parametrize(("predictions", "labels"), [(3, 5), (5, 3), (1, 2), (0, 1)])
def test_files_of_different_length_are_an_error_that_names_both_counts(job, jsonl, predictions, labels):
    first = jsonl("p.jsonl", rows(*[("x", "x")] * predictions))
    second = jsonl("l.jsonl", rows(*[("x", "x")] * labels))
    with pytest.raises(JobError, match=f"p.jsonl has {predictions} rows, its labels in .*l.jsonl {labels}"):
        Accuracy(first, label_path=second).run(job)


def test_nothing_to_compare_is_an_error(job, jsonl):
    with pytest.raises(JobError, match="no rows in"):
        Accuracy(jsonl("a.jsonl", [])).run(job)
    with pytest.raises(JobError, match=r"no row of .* has a label under 'guess' and 'label'"):
        Accuracy(jsonl("b.jsonl", rows(("x", "x"))), "guess").run(job)
    with pytest.raises(JobError, match=r"c.jsonl:2: not a JSON row"):
        Accuracy(jsonl("c.jsonl", ['{"predicted": 1, "label": 1}', "{"])).run(job)


def test_a_hundred_thousand_rows_cost_little_more_than_reading_them(job, jsonl):
    import json

    path = jsonl("big.jsonl", rows(*[(f"Label {number % 7}", f"label {number % 5}") for number in range(100_000)]))
    begun = time.process_time()
    with Path(path).open("rb") as stream:
        for line in stream:
            json.loads(line)
    reading = time.process_time() - begun
    begun = time.process_time()
    assert Accuracy(path).run(job)[1]["rows"] == 100_000
    assert time.process_time() - begun < reading + 1.0


@pytest.mark.parametrize(
    ("predicted", "label", "same"),
    [
        (9007199254740993, 9007199254740992, False),
        (9007199254740993, 9007199254740993, True),
        ("9007199254740993", 9007199254740993, True),
        ("9007199254740993", 9007199254740992, False),
        ("9007199254740993.0", 9007199254740993, True),
        (9007199254740993, 9007199254740992.0, False),
        (9007199254740992, 9007199254740992.0, True),
        ("1e16", 10**16, True),
        (10**400, 10**400, False),  # beyond the range of floats: no number
    ],
)
def test_large_integers_are_compared_exactly(job, jsonl, predicted, label, same):
    assert Accuracy(jsonl("a.jsonl", rows((predicted, label)))).run(job)[1]["accuracy"] == same
