from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from backports import zstd

from data_juicer_sandbox.components.pools.downsampling import DataPoolDownsampling
from data_juicer_sandbox.errors import ConfigError, JobError


@pytest.fixture
def pool(jsonl):
    def make(name: str, size: int):
        return jsonl(name, [f'{{ "n":{number},  "text" : "caf\\u00e9 é {number}"}}' for number in range(size)])

    return make


def numbers(path):
    return [json.loads(line)["n"] for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_the_smallest_pool_decides_and_rows_pass_byte_for_byte_in_order(job, pool, tmp_path):
    pools = [pool("big.jsonl", 200), pool("small.jsonl", 30)]
    big, small = DataPoolDownsampling(pools, str(tmp_path / "out")).run(job)
    assert [Path(big).name, Path(small).name] == ["big_30.jsonl", "small_30.jsonl"]
    assert Path(small).read_bytes() == Path(pools[1]).read_bytes()
    lines = Path(pools[0]).read_bytes().splitlines(keepends=True)
    drawn = numbers(big)
    assert b"".join(lines[number] for number in drawn) == Path(big).read_bytes()
    assert drawn == sorted(drawn)
    assert drawn != list(range(30))
    assert len(set(drawn)) == 30


def test_the_seed_decides_under_both_names(job, pool, tmp_path):
    path = pool("a.jsonl", 100)

    def draw(folder, **seeds):
        return numbers(DataPoolDownsampling(path, str(tmp_path / folder), 10, **seeds).run(job)[0])

    assert draw("a") == draw("b", shuffle_seed=42) == draw("c", seed=42)
    assert draw("d", seed=7) == draw("e", shuffle_seed=7) == draw("f", shuffle_seed=7, seed=7) != draw("g")
    with pytest.raises(ConfigError, match="seed 7 and shuffle_seed 8 are aliases"):
        draw("h", seed=7, shuffle_seed=8)


def test_every_row_is_as_likely_as_any_other(job, pool, tmp_path):
    path, hits = pool("a.jsonl", 10), [0] * 10
    for seed in range(300):
        for number in numbers(DataPoolDownsampling(path, str(tmp_path), 3, seed=seed).run(job)[0]):
            hits[number] += 1
    assert all(60 < count < 120 for count in hits)  # 90 expected, 8 the standard deviation


def test_compressed_pools_blank_lines_and_a_last_line_without_end(job, tmp_path):
    plain = b'{"n": 0}\n\n{"n": 1}\r\n{"n": 2}'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "b.jsonl.zst").write_bytes(zstd.compress(plain))
    pools = [str(tmp_path / name) for name in ("a.jsonl.gz", "b.jsonl.zst")]
    for path, name in zip(DataPoolDownsampling(pools, str(tmp_path / "out")).run(job), "ab", strict=True):
        assert Path(path).name == f"{name}_3.jsonl"
        assert Path(path).read_bytes() == b'{"n": 0}\n{"n": 1}\r\n{"n": 2}\n'


def test_pools_of_one_name_do_not_collide(job, pool, tmp_path):
    pools = [pool("x/train.jsonl", 3), pool("y/train.jsonl", 4), pool("y/test.jsonl", 5)]
    out = DataPoolDownsampling([*pools, pools[0]], str(tmp_path / "out"), 2).run(job)
    names = ["x_train_2", "y_train_2", "test_2", "x_train-2_2"]
    assert [Path(path).name for path in out] == [f"{name}.jsonl" for name in names]
    assert numbers(out[0]) == numbers(out[3])


def test_a_pool_that_is_too_small_is_an_error_and_nothing_is_written(job, pool, tmp_path):
    pools = [pool("a.jsonl", 10), pool("b.jsonl", 4)]
    with pytest.raises(JobError, match=r"b.jsonl has 4 rows, fewer than the 5 to sample"):
        DataPoolDownsampling(pools, str(tmp_path / "out"), 5).run(job)
    with pytest.raises(JobError, match=r"c.jsonl has 0 rows"):
        DataPoolDownsampling([*pools, pool("c.jsonl", 0)], str(tmp_path / "out")).run(job)
    assert not (tmp_path / "out").exists()


def test_missing_pools(job, pool, tmp_path):
    pools = [pool("a.jsonl", 3), "gone.jsonl"]
    with pytest.raises(JobError, match=r"no data pool at gone.jsonl"):
        DataPoolDownsampling(pools, str(tmp_path / "out")).run(job)
    (path,) = DataPoolDownsampling(pools, str(tmp_path / "out"), skip_missing=True).run(job)
    assert numbers(path) == [0, 1, 2]
    with pytest.raises(JobError, match="none of these data pools exist: gone"):
        DataPoolDownsampling("gone.jsonl", str(tmp_path / "out"), skip_missing=True).run(job)


def test_a_pool_is_never_overwritten(job, pool, tmp_path):
    pools = [pool("a.jsonl", 9), pool("a_9.jsonl", 9)]
    before = Path(pools[1]).read_bytes()
    with pytest.raises(JobError, match=r"a_9.jsonl is both an input pool and a new pool"):
        DataPoolDownsampling(pools, str(tmp_path)).run(job)
    assert Path(pools[1]).read_bytes() == before


def test_hints_do_not_lead_astray(job, jsonl, tmp_path):
    """No value is to be lowered where none is set, and no rows are to be skipped where the file is a JSON list."""
    empty = jsonl("empty.jsonl", [])
    with pytest.raises(JobError, match="has 0 rows, fewer than the 1 to sample") as raised:
        DataPoolDownsampling(empty, str(tmp_path / "out")).run(job)
    assert raised.value.hint is None
    for text in ('[\n {"n": 1},\n {"n": 2}\n]\n', '{\n "n": 1\n}\n{\n "n": 2\n}\n', '[{"n": 1}, {"n": 2}]\n'):
        (tmp_path / "list.jsonl").write_text(text)
        with pytest.raises(JobError, match=r"the file is a JSON (list|object over several lines)") as raised:
            DataPoolDownsampling(str(tmp_path / "list.jsonl"), str(tmp_path / "out")).run(job)
        assert "skip_bad_rows" not in str(raised.value)
