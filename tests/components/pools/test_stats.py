from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from data_juicer_sandbox.components.pools.construction import DataPoolConstruction
from data_juicer_sandbox.components.pools.scan import RowScanner
from data_juicer_sandbox.components.pools.stats import STATS, Stats, numeric_stats, stat_folder, stat_value
from data_juicer_sandbox.components.probe.sampling import Sample
from data_juicer_sandbox.components.refine.feedback_table import read_table
from data_juicer_sandbox.components.refine.pool_table import read_pools

NAN, INF = float("nan"), float("inf")
VALUES = [
    (3, 3.0),
    (0.5, 0.5),
    ([1, 2, 6], 3.0),
    ([1, None, 3], 2.0),
    ([1, NAN, 3], 2.0),
    ([1, INF, 3], 2.0),
    ([0.1, 0.1, 0.1], 0.1),
    ([1.5e308, 1.7e308], 1.6e308),
    ([10**400, 2], 2.0),
    ([], NAN),
    ([None, NAN], NAN),
    ([1, "a"], NAN),
    ([1, True], NAN),
    ([1, [2]], NAN),
    (None, NAN),
    (NAN, NAN),
    (INF, NAN),
    (-INF, NAN),
    (10**400, NAN),
    (True, NAN),
    ("1", NAN),
    ({"a": 1}, NAN),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_the_number_of_a_stat(value, expected):
    assert stat_value(value) == pytest.approx(expected, rel=1e-15, nan_ok=True)


def test_booleans_are_numbers_in_feedback_only():
    assert stat_value(True, booleans=True) == 1.0
    assert stat_value([True, False, None], booleans=True) == 0.5
    assert math.isnan(stat_value(False))


def test_all_readers_agree(tmp_path: Path):
    """Pools, refiners and samples see the same number in the same row, whatever the first row has."""
    ordered = [(1, 1.0), *VALUES]
    rows = [{"x": index, "score": 1.0, STATS: {"s": value}} for index, (value, _) in enumerate(ordered)]
    path = tmp_path / "s" / "rows.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = np.array([number for _, number in ordered])
    scanner: RowScanner = Stats()
    for line in path.read_bytes().splitlines(keepends=True):
        scanner.update(line)
    np.testing.assert_allclose(scanner.result()["s"], expected)
    np.testing.assert_allclose(read_table(None, str(path), "score", None, {"s"}).stats["s"], expected)
    pools = read_pools([str(path)], [{"pool": str(path), "score": 1.0}], "pool", "score", {"s"})
    np.testing.assert_allclose(pools.stats["s"], expected)
    equal = [index for index, number in enumerate(expected) if number == 2.0]
    drawn = Sample((len(equal) + 0.1) / len(rows), "frequency", f"{STATS}.s").draw(str(path))[1]
    assert drawn.tolist() == equal  # the most frequent number; lists with missing values are not a group of their own


def test_a_stat_without_any_number_is_not_numeric(jsonl):
    path = jsonl("a.jsonl", [{STATS: {"lang": "en", "sizes": [], "n": NAN, "len": 3}}] * 2)
    assert numeric_stats(path) == {"len"}


@pytest.mark.parametrize(
    ("stat", "folder"),
    [
        ("text_len", "text_len"),
        (".hidden", "hidden"),
        ("..", "_"),
        ("../up", "_up"),
        ("a/b c", "a_b_c"),
        ("ratio-1.5+", "ratio-1.5+"),
        ("质量", "质量"),
        ("/", "_"),
    ],
)
def test_pools_of_odd_stats_are_found_again(job, jsonl, tmp_path, stat, folder):
    """What the construction writes is what the refiner reads."""
    assert stat_folder(stat) == folder
    path = jsonl("p.jsonl", [{STATS: {stat: number}} for number in range(8)])
    pools = DataPoolConstruction(path, str(tmp_path / "out"), split_num=2).run(job)
    assert {Path(pool).parent.name for pool in pools} == {folder}
    scores = [{"pool": pool, "score": 1.0} for pool in pools]
    matched = read_pools(pools, scores, "pool", "score", {stat}).by_stat[stat]
    assert [pool.rows for pool in matched] == [8 // len(pools)] * len(pools)
