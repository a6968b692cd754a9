"""Rows of any choice come out as they went in, from however many files, however little may stay in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_rows import files, many, split

from data_juicer_sandbox.components.pools import open_pools as opening
from data_juicer_sandbox.components.pools import pool as module
from data_juicer_sandbox.components.pools import scan
from data_juicer_sandbox.components.pools.open_pools import concat, open_pools
from data_juicer_sandbox.components.pools.scan import Valid


@given(
    data=st.data(),
    datas=st.lists(files(max_size=5), min_size=1, max_size=4),
    block=st.sampled_from([1, 40, 4 << 20]),
    stretch=st.sampled_from([1, 30, 8 << 20]),
    may_map=st.sampled_from([0, 1 << 30]),
    most=st.sampled_from([1, 200]),
)
@many
def test_any_choice_of_rows_of_any_number_of_files(laid, fresh, data, datas, block, stretch, may_map, most):
    paths = laid(*datas)
    lines = [line + b"\n" for data in datas for line in split(data)]
    chosen = data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=20)) if lines else []
    runs = data.draw(st.lists(st.integers(0, max(0, len(lines) - 1)), max_size=2))
    chosen += [at for start in runs for at in range(start, len(lines))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        patch.setattr(module, "OPEN", most)
        patch.setattr(opening, "MAPPED", may_map)
        patch.setattr(scan, "CHUNK_BYTES", stretch)
        together = Path(paths[0]).parent / "*.jsonl"
        (pool,) = open_pools(fresh(), [str(together)], Valid)
        apart = open_pools(fresh(), paths, Valid)
        whole, bounds = concat(apart)
        assert [len(one) for one in apart] == [len(split(data)) for data in datas]
        assert bounds == [sum(map(len, apart[:at])) for at in range(len(apart))]
        for one in (pool, whole):
            assert b"".join(map(bytes, one.blocks())) == b"".join(lines)
            assert b"".join(map(bytes, one.blocks(np.array(chosen, np.int64)))) == b"".join(lines[at] for at in chosen)
            assert len(one._open) <= most


def test_no_block_is_much_larger_than_it_should_be(job, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 1000)
    (tmp_path / "p.jsonl").write_bytes(
        b"".join(b'{"n": %d}\n' % n for n in range(1000)) + b'{"x": "%s"}\n' % (b"x" * 9999)
    )
    (pool,) = open_pools(job, [str(tmp_path / "p.jsonl")], Valid)
    shuffled = np.random.RandomState(0).permutation(len(pool))
    for rows in (None, shuffled, np.arange(0, len(pool), 2)):
        sizes = [len(block) for block in pool.blocks(rows)]
        assert max(sizes) <= 1000
        assert len(sizes) <= 2 * sum(sizes) / 1000 + 3


def test_more_shards_than_may_be_open_at_a_time(job, tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for shard in range(400):
        (tmp_path / f"{shard:03}.jsonl").write_bytes(b'{"n": %d}\n' % shard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(300, soft), hard))
        (pool,) = open_pools(job, [str(tmp_path / "*.jsonl")], Valid)
        rows = np.arange(399, -1, -1)
        assert b"".join(map(bytes, pool.blocks(rows))) == b"".join(b'{"n": %d}\n' % row for row in rows)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_content_decides_on_the_digest(job, jsonl):
    paths = [jsonl(f"{name}.jsonl", [{"n": n}]) for name, n in zip("abc", (1, 1, 2), strict=True)]
    one, two, three = open_pools(job, paths, Valid)
    assert one.digest == two.digest != three.digest
