"""Pools put together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_rows import content, files, many, split

from data_juicer_sandbox.components.pools.merging import DataPoolMerging
from data_juicer_sandbox.errors import ConfigError, JobError


@given(datas=st.lists(files(max_size=4), min_size=1, max_size=3))
@many
def test_pool_follows_pool_with_and_without_repeats(laid, fresh, datas, tmp_path):
    paths = laid(*datas)
    lines = [line for data in datas for line in split(data)]
    (plain,) = DataPoolMerging(paths, str(tmp_path / "lab" / "out")).run(fresh())
    assert split(Path(plain).read_bytes()) == lines
    (once,) = DataPoolMerging(paths, str(tmp_path / "lab" / "once"), deduplicate=True).run(fresh())
    first = {}
    for line in lines:
        first.setdefault(content(line), line)
    assert split(Path(once).read_bytes()) == list(first.values())


def test_names(job, jsonl, tmp_path):
    out = tmp_path / "out"
    a, b, c = (jsonl(name, ["{}"]) for name in ("x/part_1.jsonl", "x/part_2.jsonl", "y/other.jsonl"))
    assert DataPoolMerging([a, b], str(out)).run(job) == [str(out / "part_merged.jsonl")]
    assert DataPoolMerging([a, c], str(out)).run(job) == [str(out / "pools_merged.jsonl")]
    assert DataPoolMerging(a, str(out)).run(job) == [str(out / "part_1_merged.jsonl")]
    assert DataPoolMerging([a, c], str(out / "deep" / "all.jsonl")).run(job) == [str(out / "deep" / "all.jsonl")]
    assert (out / "deep" / "all.jsonl").read_text() == "{}\n{}\n"


def test_a_folder_and_a_pattern_are_pools_too(job, jsonl, tmp_path):
    for shard in range(3):
        jsonl(f"web/{shard}.jsonl", [f'{{"n": {shard}}}'])
    jsonl("web/note.txt", ["no rows"])
    for path in (tmp_path / "web", tmp_path / "web" / "*.jsonl"):
        (made,) = DataPoolMerging(str(path), str(tmp_path / "out" / "all.jsonl")).run(job)
        assert Path(made).read_text() == '{"n": 0}\n{"n": 1}\n{"n": 2}\n'


def test_ids(job, jsonl, tmp_path):
    path = jsonl("p.jsonl", ['{"id": "a", "n": 0}', '{"id": "a", "n": 1}', '{"id": "b"}'])
    (made,) = DataPoolMerging(path, str(tmp_path / "out"), deduplicate=True, id_key="id").run(job)
    assert Path(made).read_text() == '{"id": "a", "n": 0}\n{"id": "b"}\n'
    with pytest.raises(ConfigError, match="id_key has no effect without deduplicate"):
        DataPoolMerging(path, "out", id_key="id")


def test_where_the_merged_pool_may_lie():
    with pytest.raises(ConfigError, match=r"does not end with \.jsonl or \.parquet"):
        DataPoolMerging("a.jsonl", "out/all.csv")
    with pytest.raises(ConfigError, match=r"does not end with \.jsonl or \.parquet"):
        DataPoolMerging("a.jsonl", "out/all.jsonl.gz")
    with pytest.raises(ConfigError, match=r"does not end with \.parquet"):
        DataPoolMerging("a.jsonl", "out/all.jsonl", export_type="parquet")


def test_parquet_out(job, jsonl, tmp_path):
    import pyarrow.parquet as pq

    path = jsonl("p.jsonl", ['{"a": 1, "b": {"c": "é"}}', '{"a": 2}'])
    rows = [{"a": 1, "b": {"c": "é"}}, {"a": 2, "b": None}]
    for made in (
        DataPoolMerging(path, str(tmp_path / "out" / "all.parquet")).run(job),
        DataPoolMerging(path, str(tmp_path / "out"), export_type="parquet").run(job),
    ):
        assert pq.read_table(made[0]).to_pylist() == rows
    assert Path(made[0]).name == "p_merged.parquet"


def test_nothing_to_merge(job, jsonl, tmp_path):
    empty = jsonl("p.jsonl", ["", " "])
    (made,) = DataPoolMerging([empty, empty], str(tmp_path / "out"), deduplicate=True).run(job)
    assert Path(made).read_bytes() == b""
    bare = jsonl("q.jsonl", ["{}"])
    with pytest.raises(JobError, match="no row has a field"):
        DataPoolMerging(bare, str(tmp_path / "out"), export_type="parquet").run(job)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p_merged.jsonl"]
