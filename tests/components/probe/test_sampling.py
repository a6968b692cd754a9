from __future__ import annotations

from collections import Counter

import pytest

from data_juicer_sandbox.components.probe.sampling import Sample
from data_juicer_sandbox.errors import JobError


@pytest.fixture
def rows(jsonl):
    """100 rows: kinds of 50, 30, 15 and 5; a score; a stat that four lack."""
    kinds = ["c"] * 15 + ["a"] * 50 + ["d"] * 5 + ["b"] * 30
    return jsonl(
        "rows.jsonl",
        [
            {
                "text": str(number),
                "kind": kind,
                "meta": {"score": number % 4},
                "__dj__stats__": {} if number < 4 else {"text_len": number, "sizes": [number, number + 2]},
            }
            for number, kind in enumerate(kinds)
        ],
    )


def kinds(numbers):
    return Counter("c" if n < 15 else "a" if n < 65 else "d" if n < 70 else "b" for n in numbers)


def test_uniform(rows):
    count, drawn = Sample(ratio=0.2, seed=1).draw(rows)
    assert count == 100
    assert len(drawn) == 20
    assert (drawn[1:] > drawn[:-1]).all()
    assert drawn.tolist() == Sample(ratio=0.2, seed=1).draw(rows)[1].tolist()
    assert drawn.tolist() != Sample(ratio=0.2, seed=2).draw(rows)[1].tolist()
    assert Sample(ratio=0.001).draw(rows)[1].size == 1
    assert Sample().draw(rows)[1].tolist() == list(range(100))
    often = Counter(number for seed in range(300) for number in Sample(ratio=0.2, seed=seed).draw(rows)[1].tolist())
    assert len(often) == 100
    assert 25 < min(often.values()) <= max(often.values()) < 100  # 60 each, give or take 7


def test_the_most_frequent_values_first(rows):
    assert kinds(Sample(0.6, "frequency", "kind").draw(rows)[1]) == {"a": 50, "b": 10}
    assert kinds(Sample(0.97, "frequency", "kind").draw(rows)[1]) == {"a": 50, "b": 30, "c": 15, "d": 2}
    some = {tuple(Sample(0.1, "frequency", "kind", seed=seed).draw(rows)[1]) for seed in range(5)}
    assert len(some) == 5


def test_each_stratum_has_its_share(rows):
    assert kinds(Sample(0.2, "stratified", "kind").draw(rows)[1]) == {"a": 10, "b": 6, "c": 3, "d": 1}
    assert kinds(Sample(0.1, "stratified", "kind").draw(rows)[1]) == {"a": 5, "b": 3, "c": 2}
    scores = Counter(number % 4 for number in Sample(0.2, "stratified", "meta.score").draw(rows)[1].tolist())
    assert scores == {0: 5, 1: 5, 2: 5, 3: 5}


def test_numbers_are_cut_at_their_quantiles(rows):
    for key in ("text_len", "sizes", "__dj__stats__.text_len"):
        drawn = Sample(0.25, "stratified", key, strata=4).draw(rows)[1]
        with_stat = drawn[drawn >= 4]
        assert (len(drawn), len(with_stat)) == (25, 24)  # four rows have no stat: a stratum of their own
        assert Counter(((with_stat - 4) // 24).tolist()) == {0: 6, 1: 6, 2: 6, 3: 6}


def test_mixed_values_and_missing_ones(jsonl):
    values = [1, 1, "1", "1", None, None, True, True, [3, 5], [3, 5]]
    path = jsonl("odd.jsonl", [{"x": value} for value in values])
    drawn = Sample(0.5, "stratified", "x").draw(path)[1]
    assert [number // 2 for number in drawn.tolist()] == [0, 1, 2, 3, 4]
    with pytest.raises(JobError, match=r"no row of .* has 'y'"):
        Sample(0.5, "stratified", "y").draw(path)
