from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.evaluate.mse import MeanSquaredError
from data_juicer_sandbox.components.pools.ranking import DataPoolRanking
from data_juicer_sandbox.components.pools.ranking_scores import order, ranks, z_scores
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.signatures import build, check


@pytest.fixture
def pools(jsonl):
    """Four pools that are there: a, b, c, d."""
    return [jsonl(f"pools/{name}.jsonl", [{"text": name}]) for name in "abcd"]


@pytest.fixture
def rank(job, pools):
    """Rank as many pools as there are metrics; gives back their letters."""

    def run(metrics, *args, **kwargs):
        return letters(DataPoolRanking(pools[: len(metrics)], metrics, *args, **kwargs).run(job))

    return run


@pytest.fixture
def warnings():
    """What is logged as a warning."""
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(message.record["message"]), level="WARNING")
    yield messages
    logger.remove(sink)


def letters(paths):
    return "".join(Path(path).stem for path in paths)


def watched(quiet):
    return {name: found for _, values in quiet.values for name, found in values.items()}


TWO = [{"acc": 0.5, "ppl": 20}, {"acc": 0.75, "ppl": 30}, {"acc": 0.6, "ppl": 10}, {"acc": 0.4, "ppl": 25}]


def test_plain_numbers_best_first_and_ties_in_the_given_order(rank, pools, job):
    assert rank([1, 3, 2.5, 3]) == "bdca"
    assert rank([1, 3, 2.5, 1], descending=False) == "adcb"
    assert rank([1, 3, 2.5, 3], top_n=2) == "bd"
    assert rank([1, 2], top_n=9) == "ba"
    assert DataPoolRanking(pools[0], [7]).run(job) == [pools[0]]


def test_ties_of_the_first_key_are_broken_by_the_next_each_in_its_own_direction(rank, quiet):
    metrics = [{"m": {"bleu": [0, 5]}, "n": 1}, {"m": {"bleu": [9, 7]}, "n": 3}, {"m": {"bleu": [8, 7]}, "n": 2}]
    assert rank(metrics, "m.bleu.1") == "bca"
    assert rank(metrics, ["m.bleu.1", "n"], descending=[True, False]) == "cba"
    assert rank(metrics, ["m.bleu.1", "n"], descending=[False, True]) == "abc"
    found = watched(quiet)
    assert found["a"] == {"rank": 1, "score": 5, "metrics": {"m.bleu.1": 5, "n": 1}}


def test_relative_change_against_a_baseline(rank, quiet):
    metrics = {"a": TWO[0], "b": TWO[1], "c": TWO[2], "d": TWO[3]}
    # accuracy: b +0.5, c +0.2, d -0.2; perplexity: b +0.5, c -0.5, d +0.25, less is better
    assert rank(metrics, ["acc", "ppl"], [True, False], baseline="a", aggregate="mean_relative") == "cbd"
    found = watched(quiet)
    assert [found[name]["rank"] for name in "cbd"] == [1, 2, 3]
    assert found["c"]["score"] == pytest.approx((0.2 + 0.5) / 2)
    assert found["b"]["score"] == pytest.approx((0.5 - 0.5) / 2)
    assert found["d"]["score"] == pytest.approx((-0.2 - 0.25) / 2)
    assert found["d"]["relative"] == {"acc": pytest.approx(-0.2), "ppl": 0.25}
    assert "a" not in found
    assert rank(TWO, "acc", baseline="a") == "bcd"
    assert watched(quiet)["b"]["score"] == 0.5
    assert rank(TWO, "acc", baseline="a", keep_baseline=True) == "bcad"
    assert rank([-10, -5, -20], baseline="a") == "bc"
    assert watched(quiet)["b"]["relative"] == {"metric": 0.5}  # by |b|, so that better is more below 0 too


def test_mean_rank_shares_the_ranks_of_ties(rank, quiet):
    metrics = [{"x": 3, "y": 9, "z": 1}, {"x": 5, "y": 7, "z": 2}, {"x": 5, "y": 7, "z": 4}, {"x": 1, "y": 7, "z": 3}]
    # x: 3, 1.5, 1.5, 4; y: 1, 3, 3, 3; z (less is better): 1, 2, 4, 3
    assert rank(metrics, ["x", "y", "z"], [True, True, False], aggregate="mean_rank") == "abcd"
    scores = {name: found["score"] for name, found in watched(quiet).items()}
    expected = {"a": 5 / 3, "b": 6.5 / 3, "c": 8.5 / 3, "d": 10 / 3}
    assert scores == {name: pytest.approx(score) for name, score in expected.items()}
    # without the best pool in y the others move up
    assert rank(metrics, ["x", "y", "z"], [True, True, False], aggregate="mean_rank", baseline="a") == "bcd"
    assert watched(quiet)["b"]["score"] == pytest.approx((1.5 + 2 + 1) / 3)


def test_z_scores_by_the_population_deviation(rank, quiet):
    metrics = [{"x": 2, "y": 5, "z": 1}, {"x": 4, "y": 5, "z": 1}, {"x": 4, "y": 5, "z": 1}, {"x": 6, "y": 5, "z": 5}]
    # x: mean 4, deviation sqrt(2); y: all equal; z (less is better): mean 2, deviation sqrt(3)
    assert rank(metrics, ["x", "y", "z"], [True, True, False], aggregate="z_score") == "bcda"
    scores = {name: found["score"] for name, found in watched(quiet).items()}
    assert scores["a"] == pytest.approx((-math.sqrt(2) + 1 / math.sqrt(3)) / 3)
    assert scores["b"] == scores["c"] == pytest.approx(1 / math.sqrt(3) / 3)
    assert scores["d"] == pytest.approx((math.sqrt(2) - math.sqrt(3)) / 3)


def test_the_ranking_can_be_read_in_the_log(rank):
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    rank(TWO, ["acc", "ppl"], [True, False], baseline="a", aggregate="mean_relative")
    logger.remove(sink)
    assert lines == [
        "baseline a: acc 0.5, ppl 20",
        "1. c: acc 0.6 (+20.00%), ppl 10 (-50.00%), mean_relative 0.35",
        "2. b: acc 0.75 (+50.00%), ppl 30 (+50.00%), mean_relative 0",
        "3. d: acc 0.4 (-20.00%), ppl 25 (+25.00%), mean_relative -0.225",
    ]


def test_a_mapping_by_path_or_name_in_any_order(job, pools, monkeypatch):
    monkeypatch.chdir(Path(pools[0]).parents[1])
    metrics = {"d": 1, "pools/../pools/c.jsonl": 4, pools[0]: 2, "elsewhere": 9, "b": 3}
    assert letters(DataPoolRanking(pools, metrics).run(job)) == "cbad"
    with pytest.raises(ConfigError, match=r"name the pool .*c\.jsonl twice, the second time as 'c'"):
        DataPoolRanking(pools, {**metrics, "c": 1})
    with pytest.raises(JobError, match=r"no metrics for pool b \(did you mean 'bb'"):
        DataPoolRanking(pools, {"a": 1, "bb": 2, "c": 3, "d": 4}).run(job)


def test_a_name_that_two_pools_share_is_refused(job, jsonl):
    pools = [jsonl("a/train.jsonl", [{}]), jsonl("b/train.jsonl", [{}])]
    assert DataPoolRanking(pools, {"b_train": 2, "a_train": 1}).run(job) == pools[::-1]
    with pytest.raises(ConfigError, match=r"'train' is ambiguous: .*a/train.jsonl, .*b/train.jsonl"):
        DataPoolRanking(pools, {"train": 2, "a_train": 1})
    with pytest.raises(ConfigError, match="'train' is ambiguous"):
        DataPoolRanking(pools, [1, 2], baseline="train")


def test_entries_that_name_their_pool_are_matched_and_those_of_one_pool_averaged(job, pools, quiet, warnings):
    scores = [
        {"model": f"m/{name}_seed{seed}", "train_dataset": name, "dataset": "heldout", "seed": seed, "bpb": bpb}
        for name, seed, bpb in [
            *(("b", 1, 3.0), ("b", 2, 1.0), ("a", 1, 2.5), ("a", 2, 2.0)),
            *(("c", 1, 1.0), ("c", 2, 1.5), ("raw", 1, 4.0), ("raw", 2, 6.0)),
        ]
    ]
    given = {"dataset_path": pools[:3], "metrics": scores, "ranking_keys": "bpb", "descending": False}
    ranking = build(DataPoolRanking, {**given, "match_key": "train_dataset", "baseline": "raw"})
    assert letters(ranking.run(job)) == "cba"
    found = watched(quiet)
    assert {name: one["metrics"]["bpb"] for name, one in found.items()} == {"c": 1.25, "b": 2.0, "a": 2.25}
    assert found["b"]["score"] == (2 - 5) / 5  # against a baseline that only the metrics name
    assert not warnings
    DataPoolRanking(**{**given, "metrics": scores[1:]}, match_key="train_dataset").run(job)
    assert warnings == ["the pools' metrics are means of different numbers of entries: 2 of a, 1 of b, 2 of c"]
    with pytest.raises(
        ConfigError, match=r"metrics has 8 entries, dataset_path 3 \(expected one per pool, in their order"
    ):
        DataPoolRanking(pools[:3], scores, "bpb")
    with pytest.raises(ConfigError, match=r"metrics has 6 entries, dataset_path 3 \(.*match_key: train_dataset"):
        DataPoolRanking(pools[:3], scores[:6], "bpb")


def test_results_of_an_evaluator_are_matched_by_path(job, jsonl):
    pools = [jsonl(f"{name}.jsonl", [{"predicted": value, "label": 0}]) for name, value in (("a", 3), ("b", 1))]
    results, _ = MeanSquaredError(pools[::-1]).run(job)
    assert DataPoolRanking(pools, results, "mse", descending=False, match_key="dataset").run(job) == pools[::-1]
    with pytest.raises(ConfigError, match=r"name their pools in 'dataset', in another order.*match_key: dataset"):
        DataPoolRanking(pools, results, "mse")
    assert DataPoolRanking(pools[::-1], results, "mse").run(job) == pools
    # all tested on the pool a: this field is no name of theirs
    assert DataPoolRanking(pools, [{"tested_on": "a", "x": 1}, {"tested_on": "a", "x": 2}], "x").run(job) == pools[::-1]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"acc": math.nan}, "'acc' of pool b is nan"),
        ({"acc": -math.inf}, "'acc' of pool b is -inf"),
        ({"acc": 10**400}, "'acc' of pool b is inf"),
        ({"acc": "0.5"}, "'acc' of pool b is not a number: '0.5'"),
        ({"acc": True}, "'acc' of pool b is not a number: True"),
        ({"acc": None}, "'acc' of pool b is not a number: None"),
        ({"acx": 1, "name": "b"}, r"pool b have no 'acc' \(did you mean 'acx'\? numeric metrics: acx\)"),
        ({"acc": {"top1": 1}}, r"pool b have no 'acc' \(.*numeric metrics: acc.top1"),
        ({}, "pool b have no 'acc'"),
        (0.5, "pool b are 0.5, without a key 'acc'"),
    ],
)
def test_a_metric_that_is_no_finite_number_names_pool_and_key(rank, entry, message):
    for aggregate in ("first", "mean_rank", "z_score"):
        with pytest.raises(JobError, match=message):
            rank([{"acc": 1}, entry], "acc", aggregate=aggregate)


def test_numbers_may_be_bad_too(rank):
    for bad in (math.nan, "high", None):
        with pytest.raises(JobError, match="the metric of pool b is"):
            rank([1, bad])


def test_a_baseline_of_0_or_beside_it(rank):
    with pytest.raises(JobError, match="'acc' of the baseline a is 0"):
        rank([{"acc": 0.0, "x": 1}, {"acc": 1, "x": 1}], ["x", "acc"], baseline="a")
    with pytest.raises(JobError, match="relative change of 'metric' of pool b overflows"):
        rank([5e-324, 1e10], baseline="a")


def test_missing_pools(job, pools, tmp_path, quiet, warnings):
    gone = str(tmp_path / "gone.jsonl")
    paths, metrics = [pools[0], gone, pools[1]], [1, math.nan, 2]
    with pytest.raises(JobError, match=f"no data pool at {gone}"):
        DataPoolRanking(paths, metrics).run(job)
    assert letters(DataPoolRanking(paths, metrics, skip_missing=True).run(job)) == "ba"
    assert set(watched(quiet)) == {"a", "b"}
    assert warnings == [f"no data pool at {gone}: skipped"]
    with pytest.raises(JobError, match="the baseline does not exist"):
        DataPoolRanking(paths, [1, 2, 3], skip_missing=True, baseline="gone").run(job)
    with pytest.raises(JobError, match=r"none of these data pools exist: .*gone"):
        DataPoolRanking([gone], [1], skip_missing=True).run(job)


def test_pools_may_be_folders_and_patterns(job, pools, tmp_path):
    folder, pattern = str(tmp_path / "pools"), str(tmp_path / "pools" / "[ab].jsonl")
    assert DataPoolRanking([folder, pattern], [1, 2]).run(job) == [pattern, folder]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metrics": [1]}, "metrics has 1 entries, dataset_path 4"),
        ({"metrics": [{"x": 1}] * 4}, r"ranking_keys must name the metrics to rank by: .*\(x\)"),
        ({"ranking_keys": []}, "expected one or more different keys"),
        ({"ranking_keys": ["x", "x"]}, "expected one or more different keys"),
        ({"ranking_keys": ["x", "y"], "descending": [True]}, "descending has 1 entries, ranking_keys 2"),
        ({"aggregate": "mean_relative"}, "aggregate: mean_relative needs a baseline"),
        ({"keep_baseline": True}, "keep_baseline needs a baseline"),
        ({"baseline": "aa"}, r"neither dataset_path nor metrics name the baseline 'aa' \(did you mean 'a'"),
        ({"metrics": {"a": 1}, "match_key": "x"}, "match_key needs a list"),
        ({"match_key": "x"}, r"entry 0 of metrics is 1 \(match_key needs mappings"),
        ({"metrics": [{"dataset": "a", "n": 1}], "match_key": "datset"}, r"no 'datset'.*did you mean 'dataset'"),
    ],
)
def test_faults_of_the_config(pools, given, message):
    with pytest.raises(ConfigError, match=message):
        DataPoolRanking(**{"dataset_path": pools, "metrics": [1, 2, 3, 4], **given})


def test_a_pool_named_twice_and_nothing_to_rank(pools, tmp_path):
    with pytest.raises(ConfigError, match="has the same pool twice"):
        DataPoolRanking([pools[0], str(tmp_path / "pools" / "." / ".." / "pools" / "a.jsonl")], [1, 2])
    with pytest.raises(ConfigError, match="no pool to rank"):
        DataPoolRanking(pools[0], [1], baseline="a")
    with pytest.raises(ConfigError, match="no pool to rank"):
        DataPoolRanking([], [])


def test_types_are_checked_before_the_run():
    given = {"dataset_path": "a", "metrics": 3, "aggregate": "mean", "top_n": 0, "descending": "down"}
    assert {problem.name for problem in check(DataPoolRanking, given)} == {
        "metrics",
        "aggregate",
        "top_n",
        "descending",
    }
    assert not check(DataPoolRanking, {"dataset_path": ["a"], "metrics": {"a": {"x": [1]}}, "descending": [True]})


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Paths of pools and a job, made once for all that hypothesis tries."""
    folder = tmp_path_factory.mktemp("many")
    paths = [folder / f"p{number}.jsonl" for number in range(8)]
    for path in paths:
        path.touch()
    return [str(path) for path in paths], JobRun("p", "j", folder, NullJob(), NullJob())


finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = finite | st.sampled_from([0.0, -0.0, 1.0, 2.0])
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=8)
)


@given(table=tables, data=st.data())
def test_a_ranking_is_a_permutation_whatever_the_numbers(many, table, data):
    paths, job = many[0][: len(table)], many[1]
    keys = [f"k{column}" for column in range(len(table[0]))]
    descending = data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys)))
    metrics = [dict(zip(keys, row, strict=True)) for row in table]
    for aggregate in ("first", "mean_rank", "z_score"):
        ranking = DataPoolRanking(paths, metrics, keys, descending, aggregate=aggregate)
        found = ranking.run(job)
        assert sorted(found) == paths
        assert found == ranking.run(job)


@given(column=st.lists(numbers, min_size=1, max_size=8), descending=st.booleans())
def test_one_key_is_sorting_whatever_the_aggregate(many, column, descending):
    paths, job = many[0][: len(column)], many[1]
    # `reverse` keeps the order of equal ones too
    expected = [path for path, _ in sorted(zip(paths, column, strict=True), key=lambda p: p[1], reverse=descending)]
    for aggregate in ("first", "mean_rank"):
        assert DataPoolRanking(paths, column, descending=descending, aggregate=aggregate).run(job) == expected


whole = st.integers(-1000, 1000)


@given(
    table=st.lists(st.tuples(whole, whole), min_size=1, max_size=8),
    factor=st.sampled_from([0.25, 1, 3, 1000]),
    shift=whole,
)
def test_z_scores_do_not_see_scale_and_origin(table, factor, shift):
    moved = [(x * factor + shift, y) for x, y in table]  # exact, since the numbers are whole and small
    assert order(moved, None, [True, False], "z_score") == order(table, None, [True, False], "z_score")


@given(column=st.lists(numbers, min_size=1, max_size=8))
def test_ranks_add_up_and_z_scores_have_mean_0_and_deviation_1(column):
    assert sum(ranks(column, 1)) == len(column) * (len(column) + 1) / 2
    assert ranks(column, -1) == [len(column) + 1 - rank for rank in ranks(column, 1)]
    found = z_scores(column, 1)
    squares = 0 if len(set(column)) == 1 else len(column)
    assert math.fsum(found) == pytest.approx(0, abs=1e-9)
    assert math.fsum(score * score for score in found) == pytest.approx(squares)
    assert z_scores(column, -1) == [-score for score in found]
