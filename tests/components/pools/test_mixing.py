"""Pools mixed in shares."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_rows import files, many, quick, split

from data_juicer_sandbox.components.pools import mixing, sampling
from data_juicer_sandbox.components.pools.mixing import DataPoolMixing
from data_juicer_sandbox.errors import ConfigError, JobError


@pytest.fixture
def pools(jsonl):
    def make(*sizes: int) -> list[str]:
        return [
            jsonl(f"p{pool}.jsonl", [{"pool": pool, "n": n, "text": "w " * (n % 7 + 1)} for n in range(size)])
            for pool, size in enumerate(sizes)
        ]

    return make


def rows(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def counts(path: str) -> list[int]:
    found = Counter(row["pool"] for row in rows(path))
    return [found[pool] for pool in range(max(found) + 1)]


@given(one=files(), two=files(max_size=3))
@many
def test_rows_are_drawn_without_replacement_byte_for_byte(laid, fresh, one, two, tmp_path):
    paths = laid(one, two)
    first, second = split(one), split(two)
    size = min(len(first), len(second))
    component = DataPoolMixing(paths, str(tmp_path / "lab" / "out"), shuffle=False)
    if not size:
        with pytest.raises(JobError, match="no rows"):
            component.run(fresh())
        return
    (path,) = component.run(fresh())
    made = split(Path(path).read_bytes())
    assert Path(path).name == f"p_mixed_{2 * size}.jsonl"
    assert not Counter(made[:size]) - Counter(first)
    assert not Counter(made[size:]) - Counter(second)
    assert len(made) == 2 * size
    (mixed,) = DataPoolMixing(paths, str(tmp_path / "lab" / "mixed")).run(fresh())
    assert Counter(split(Path(mixed).read_bytes())) == Counter(made)


def test_exactly_as_many_rows_as_wanted(job, pools, tmp_path, quiet):
    paths = pools(50, 50, 50)
    for total in (1, 10, 11, 47):
        (path,) = DataPoolMixing(paths, str(tmp_path), [3, 2, 1], total_num_samples=total).run(job)
        assert len(rows(path)) == total
    assert counts(path) == [23, 16, 8]  # 23.5, 15.67, 7.83: the largest remainders get one more
    assert quiet.values[-3:] == [
        (None, {f"p{pool}": {"rows": size, "share": size / 47, "epochs": size / 50}})
        for pool, size in enumerate([23, 16, 8])
    ]


def test_without_a_total_as_large_as_the_pools_allow(job, pools, tmp_path):
    paths = pools(10, 100, 40)
    assert counts(DataPoolMixing(paths, str(tmp_path)).run(job)[0]) == [10, 10, 10]
    assert counts(DataPoolMixing(paths, str(tmp_path), [0.1, 0.5, 0.4]).run(job)[0]) == [10, 50, 40]
    assert counts(DataPoolMixing(paths, str(tmp_path), [0, 1, 1]).run(job)[0]) == [0, 40, 40]


def test_shares_by_path_and_by_name(job, pools, tmp_path):
    paths = pools(10, 10)
    (path,) = DataPoolMixing(paths, str(tmp_path), {"p1": 3, paths[0]: 1}, total_num_samples=8).run(job)
    assert counts(path) == [2, 6]


def test_shuffled_or_pool_after_pool_by_a_seed(job, pools, tmp_path):
    paths = pools(30, 30)

    def order(folder, **parameters):
        return [
            (row["pool"], row["n"])
            for row in rows(
                DataPoolMixing(paths, str(tmp_path / folder), total_num_samples=20, **parameters).run(job)[0]
            )
        ]

    assert order("a") == order("b") == order("c", seed=42) != order("d", seed=1)
    assert [pool for pool, _ in order("e", shuffle=False)] == [0] * 10 + [1] * 10
    assert [pool for pool, _ in order("a")] != [0] * 10 + [1] * 10
    assert len(set(order("a"))) == 20


def test_too_few_rows_are_an_error_or_repeated(job, pools, tmp_path, quiet):
    paths = pools(4, 30)
    with pytest.raises(JobError, match=r"p0.jsonl has 4 rows, fewer than the 10 of its share \(set repeat: true"):
        DataPoolMixing(paths, str(tmp_path), total_num_samples=20).run(job)
    (path,) = DataPoolMixing(paths, str(tmp_path), total_num_samples=20, repeat=True).run(job)
    often = Counter(row["n"] for row in rows(path) if row["pool"] == 0)
    assert (sum(often.values()), len(often), set(often.values())) == (10, 4, {2, 3})
    assert quiet.values[-2][1]["p0"]["epochs"] == 2.5


def test_tokens(job, pools, tmp_path, quiet):
    paths = pools(200, 200)
    (path,) = DataPoolMixing(paths, str(tmp_path), [1, 3], total_tokens=400).run(job)
    tokens = Counter()
    for row in rows(path):
        tokens[row["pool"]] += len(row["text"].split())
    assert abs(tokens[0] - 100) <= 3
    assert abs(tokens[1] - 300) <= 3
    assert [facts["tokens"] for _, of in quiet.values for facts in of.values()] == [tokens[0], tokens[1]]
    with pytest.raises(JobError, match=r"p1.jsonl has 794 tokens, fewer than the 1,500 of its share"):
        DataPoolMixing(paths, str(tmp_path), [1, 3], total_tokens=2000).run(job)
    (path,) = DataPoolMixing(paths, str(tmp_path), [1, 3], total_tokens=2000, repeat=True).run(job)
    assert abs(sum(len(row["text"].split()) for row in rows(path)) - 2000) <= 7


def test_tokens_by_a_field_and_of_a_nested_text(job, jsonl, tmp_path):
    lines = [{"n": n, "__dj__stats__": {"num_token": 10}, "meta": {"text": "a b"}} for n in range(9)]
    path = jsonl("p.jsonl", lines)
    by_field = DataPoolMixing(path, str(tmp_path / "a"), total_tokens=42, token_key="__dj__stats__.num_token").run(job)
    assert len(rows(by_field[0])) == 4
    assert len(rows(DataPoolMixing(path, str(tmp_path / "b"), total_tokens=8, text_key="meta.text").run(job)[0])) == 4
    bad = jsonl("q.jsonl", [*lines, {"meta": 1}])
    with pytest.raises(JobError, match=r"q.jsonl:10: 'meta.text' holds no text"):
        DataPoolMixing(bad, str(tmp_path / "c"), total_tokens=8, text_key="meta.text").run(job)
    DataPoolMixing(bad, str(tmp_path / "c"), total_tokens=8, text_key="meta.text", skip_bad_rows=1).run(job)


def test_a_mixture_without_rows(job, jsonl, tmp_path):
    path = jsonl("p.jsonl", [{"text": "a b c d e"}])
    with pytest.raises(JobError, match="the mixture would have no rows"):
        DataPoolMixing(path, str(tmp_path / "out"), total_tokens=1).run(job)
    silent = jsonl("q.jsonl", [{"text": ""}])
    with pytest.raises(JobError, match=r"q.jsonl has 0 tokens"):
        DataPoolMixing(silent, str(tmp_path / "out"), total_tokens=1, repeat=True).run(job)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"total_num_samples": 1, "total_tokens": 1}, "are both set"),
        ({"token_key": "n"}, "have no effect without total_tokens"),
        ({"tokenizer": "x"}, "have no effect without total_tokens"),
        ({"token_key": "n", "tokenizer": "x", "total_tokens": 1}, "token_key and tokenizer are both set"),
        ({"repeat": True}, "repeat: true needs total_num_samples or total_tokens"),
        ({"shares": [1]}, "1 shares for 2 pools"),
        ({"shares": [1, -1]}, "finite number of at least 0, got -1"),
        ({"shares": [1, float("nan")]}, "finite number of at least 0, got nan"),
        ({"shares": [float("inf"), 1]}, "finite number of at least 0, got inf"),
        ({"shares": [0, 0]}, "at least one must be above 0"),
        ({"shares": {"a": 1}}, r"shares has no entry for x/b.jsonl \(0 excludes a pool"),
        ({"shares": {"a": 1, "bb": 1}}, "shares names 'bb', which is not one of the pools"),
        ({"export_path": "out.csv"}, "does not end with .jsonl or .parquet"),
    ],
)
def test_what_is_no_mixture(parameters, message):
    with pytest.raises(ConfigError, match=message):
        DataPoolMixing(**{"dataset_path": ["x/a.jsonl", "x/b.jsonl"], "export_path": "out", **parameters})


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=4).filter(
        lambda p: any(w for _, w in p)
    )
)
@quick
def test_the_largest_total_is_possible_and_ends_where_a_pool_runs_out(pools):
    sizes, given = zip(*pools, strict=True)
    parts = [Fraction(weight, sum(given)) for weight in given]

    def fits(total):
        return all(rows <= size for rows, size in zip(sampling.apportion(total, parts), sizes, strict=True))

    total = mixing.largest_total(sizes, parts)
    assert fits(total)
    assert 0 <= min(Fraction(size) / part for size, part in zip(sizes, parts, strict=True) if part) - total < len(sizes)


@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 5))
@quick
def test_a_pool_is_repeated_in_whole_passes(size, drawn, seed):
    numbers = mixing.draw_rows("p", size, drawn, True, seed).tolist()
    assert len(numbers) == drawn
    often = Counter(numbers)
    assert all(often[row] in (drawn // size, -(-drawn // size)) for row in range(size))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.fractions(0, 500), st.integers(0, 5))
@quick
def test_tokens_come_nearest_to_what_is_wanted(tokens, budget, seed):
    token_counts = np.array(tokens, np.int64)
    drawn = mixing.draw_rows_by_tokens("p", token_counts, budget, True, seed)
    total = int(token_counts[drawn].sum())
    assert abs(total - budget) <= max(tokens)
    assert max(Counter(drawn.tolist()).values(), default=0) <= max(1, -(-budget // sum(tokens)))
