"""What pools share: plain Python sets say the same."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_rows import content, lines, many, rows, spell, split

from data_juicer_sandbox.components.pools.combination import DataPoolCombination
from data_juicer_sandbox.errors import ConfigError, JobError


def names(paths) -> list[str]:
    return [Path(path).name for path in paths]


@st.composite
def overlapping(draw):
    """Three pools whose rows come from one stock, spelled anew in each."""
    stock = draw(st.lists(rows, min_size=1, max_size=5))
    of = st.sampled_from(stock)
    return [b"".join(line + b"\n" for line in draw(lines(of, 6))) for _ in range(3)]


@given(datas=overlapping())
@many
def test_subsets_are_what_python_sets_say(laid, fresh, datas, tmp_path):
    paths = laid(*datas)
    pools = []
    for data in datas:
        pool = {}
        for line in split(data):
            pool.setdefault(content(line), line)
        pools.append(pool)
    expected = {}
    for order in (1, 2, 3):
        for members in combinations(range(3), order):
            first, *others = (pools[member] for member in members)
            if shared := [line for row, line in first.items() if all(row in other for other in others)]:
                expected[f"p_top_{'_'.join(map(str, members))}_num_{len(shared)}.jsonl"] = shared
    component = DataPoolCombination(paths, str(tmp_path / "lab" / "out"))
    if not expected:
        with pytest.raises(JobError, match="the pools have no rows"):
            component.run(fresh())
        return
    made = component.run(fresh())
    assert {Path(path).name: split(Path(path).read_bytes()) for path in made} == expected
    assert names(made) == list(expected)


def test_names_order_and_empty_subsets(job, jsonl, tmp_path, log):
    pools = [
        jsonl("run_a_top.jsonl", ['{"n": 1}', '{"n": 2}', '{"n":1.0}']),
        jsonl("run_b_top.jsonl", ['{"n": 2}']),
        jsonl("run_c_top.jsonl", ['{"n": 3}']),
    ]
    made = DataPoolCombination(pools, str(tmp_path / "out")).run(job)
    kept = ["0_num_2", "1_num_1", "2_num_1", "0_1_num_1"]
    assert made == [str(tmp_path / "out" / f"run_top_{name}.jsonl") for name in kept]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names(made))
    assert "3 subsets have no common rows and are not written: 0_2, 1_2, 0_1_2" in log
    assert f"{pools[0]}: 1 rows are duplicates" in log


def test_rows_stand_as_their_first_pool_has_them(job, jsonl, tmp_path):
    pools = [jsonl("a.jsonl", ['{"x":1, "y":2}', '{"z":0}']), jsonl("b.jsonl", ['{"z": 0.0}', '{"y": 2.0, "x": 1}'])]
    *_, both = DataPoolCombination(pools, str(tmp_path / "out")).run(job)
    assert Path(both).name == "pools_top_0_1_num_2.jsonl"  # the names share nothing
    assert Path(both).read_text() == '{"x":1, "y":2}\n{"z":0}\n'


def test_an_id_instead_of_the_content(job, jsonl, tmp_path):
    a = jsonl("pa.jsonl", ['{"meta": {"id": 1}, "text": "a"}', '{"meta": {"id": 2}, "text": "b"}'])
    b = jsonl("pb.jsonl", ['{"meta": {"id": 2.0}, "text": "other"}', '{"meta": {"id": "1"}}'])
    made = DataPoolCombination([a, b], str(tmp_path / "out"), id_key="meta.id").run(job)
    assert names(made) == [f"p_top_{name}.jsonl" for name in ("0_num_2", "1_num_2", "0_1_num_1")]
    assert json.loads(Path(made[2]).read_text())["text"] == "b"
    c = jsonl("pc.jsonl", ['{"meta": {"id": 3}}', '{"meta": 1}', '{"meta": {"id": null}}', '{"meta.id": 3}'])
    with pytest.raises(JobError, match=r"pc.jsonl:2: the row has no 'meta.id'; 3 bad rows in all \(skip_bad_rows: 3"):
        DataPoolCombination([a, c], str(tmp_path / "out"), id_key="meta.id").run(job)
    made = DataPoolCombination([a, c], str(tmp_path / "out"), id_key="meta.id", skip_bad_rows=3).run(job)
    assert names(made) == ["p_top_0_num_2.jsonl", "p_top_1_num_1.jsonl"]


def test_the_key_that_tells_rows_apart_counts_in_a_rerun(job, jsonl, tmp_path):
    """Same pools, same names, same numbers of rows: other rows."""
    a = jsonl("pa.jsonl", ['{"i": 1, "j": 1}', '{"i": 2, "j": 2}'])
    b = jsonl("pb.jsonl", ['{"i": 1, "j": 9}', '{"i": 9, "j": 2}'])
    by_i = Path(DataPoolCombination([a, b], str(tmp_path / "out"), id_key="i").run(job)[2]).read_text()
    by_j = Path(DataPoolCombination([a, b], str(tmp_path / "out"), id_key="j").run(job)[2]).read_text()
    assert (by_i, by_j) == ('{"i": 1, "j": 1}\n', '{"i": 2, "j": 2}\n')


def test_subsets_up_to_an_order(job, jsonl, tmp_path):
    pools = [jsonl(f"p{n}.jsonl", ['{"a": 1}', json.dumps({"n": n})]) for n in range(20)]
    made = DataPoolCombination(pools, str(tmp_path / "out"), max_order=2).run(job)
    assert len(made) == 20 + 190
    assert names(made)[19:21] == ["p_top_19_num_2.jsonl", "p_top_0_1_num_1.jsonl"]
    assert Path(made[-1]).name == "p_top_18_19_num_1.jsonl"
    (one,) = DataPoolCombination(pools[0], str(tmp_path / "one"), max_order=5).run(job)
    assert Path(one).name == "p0_top_0_num_2.jsonl"


def test_too_many_files_are_refused_before_anything_is_read():
    pools = [f"gone{n}.jsonl" for n in range(21)]
    with pytest.raises(ConfigError) as refusal:
        DataPoolCombination(pools[:12], "out")
    assert str(refusal.value) == (
        "12 pools in subsets of up to 12: 4,095 files, more than max_files 2,048 "
        "(a lower max_order, or max_files: 4095)"
    )
    with pytest.raises(ConfigError, match="20 pools in subsets of up to 4: 6,195 files"):
        DataPoolCombination(pools[:20], "out", max_order=4)
    with pytest.raises(ConfigError, match="21 pools to combine, at most 20 are allowed"):
        DataPoolCombination(pools, "out", max_order=1)
    DataPoolCombination(pools[:12], "out", max_files=4095)
    DataPoolCombination(pools[:11], "out")


def test_pools_that_may_be_missing_do_not_count(job, jsonl, tmp_path):
    pools = [jsonl("a.jsonl", ['{"n": 1}']), *(str(tmp_path / f"gone{n}.jsonl") for n in range(30))]
    assert len(DataPoolCombination(pools, str(tmp_path / "out"), skip_missing=True).run(job)) == 1


def test_empty_pools(job, jsonl, tmp_path, log):
    pools = [jsonl("pa.jsonl", ['{"n": 1}']), jsonl("pb.jsonl", [])]
    assert names(DataPoolCombination(pools, str(tmp_path / "out")).run(job)) == ["p_top_0_num_1.jsonl"]
    assert "2 subsets have no common rows and are not written: 1, 0_1" in log
    with pytest.raises(JobError, match="the pools have no rows"):
        DataPoolCombination([pools[1], pools[1]], str(tmp_path / "out")).run(job)


def test_spellings_of_the_test_are_the_same_row():
    """The test's own generator: what it says is one row must be one to plain Python."""
    row = {"é": [1, 2.5, {"a": 2**53}], "b": None}
    assert len({spell(row, way) for way in range(200)}) > 20
    assert len({content(spell(row, way).encode()) for way in range(200)}) == 1
