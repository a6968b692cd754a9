"""Reading pools: bad rows are named by file and line, whatever they lie in."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from backports import zstd

from data_juicer_sandbox.components.pools import open_pools as opening
from data_juicer_sandbox.components.pools import scan
from data_juicer_sandbox.components.pools.identity import Identity
from data_juicer_sandbox.components.pools.open_pools import open_pools
from data_juicer_sandbox.components.pools.scan import Keys, Valid
from data_juicer_sandbox.components.pools.stats import Stats
from data_juicer_sandbox.components.pools.token_counts import TokenCounts
from data_juicer_sandbox.errors import JobError

LOOKS = [Valid, Stats, Keys, Identity, partial(TokenCounts, "text", None, None)]
GOOD = b'{"text": "a"}\n'


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    "bad", [b"nope", b"[1]", b"3", b'{"text": "a"', b'{"text": "a"} {}', b'{"text": "\xff"}', b"\x00"]
)
def test_a_bad_row_is_named_whoever_looks(laid, fresh, look, bad):
    (path,) = laid(b"\n" + GOOD + b" \r\n" + bad + b"\n" + GOOD)
    with pytest.raises(JobError) as caught:
        open_pools(fresh(), [path], look)
    assert str(caught.value).startswith(f"{path}:4: ")
    assert str(caught.value).endswith("(skip_bad_rows: 1 skips it)")
    (pool,) = open_pools(fresh(), [path], look, skip_bad_rows=1)
    assert b"".join(pool.blocks()) == GOOD * 2


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
def test_a_bad_row_of_a_compressed_file(laid, fresh, ending, pack):
    (path,) = laid(pack(b"\n\n" + GOOD + b"nope"), names="p{}.jsonl" + ending)
    with pytest.raises(JobError, match=rf"p0.jsonl{ending}:4: not a JSON row"):
        open_pools(fresh(), [path], Valid)


def test_a_bad_row_of_the_second_shard(laid, fresh):
    first, second, third = laid(GOOD * 3, GOOD + b"nope\n" + GOOD, gzip.compress(GOOD + b"\n" + b"nope\nnope\n"))
    Path(third).rename(third + ".gz")
    folder = str(Path(first).parent)
    with pytest.raises(JobError, match=r"p1.jsonl:2: .*; 3 bad rows in all \(skip_bad_rows: 3 skips them\)"):
        open_pools(fresh(), [folder], Valid, skip_bad_rows=2)
    Path(second).unlink()
    with pytest.raises(JobError, match=r"p2.jsonl.gz:3: "):
        open_pools(fresh(), [folder], Valid)


def test_bad_rows_are_counted_over_all_pools_and_named(laid, fresh, log):
    paths = laid(GOOD + b"nope\n", b"nope\n" * 11 + GOOD)
    with pytest.raises(JobError, match="12 bad rows in all"):
        open_pools(fresh(), paths, Valid, skip_bad_rows=11)
    pools = open_pools(fresh(), paths, Valid, skip_bad_rows=12)
    assert [len(pool) for pool in pools] == [1, 1]
    named = [message for message in log if ": skipped" in message]
    assert len(named) == 10
    assert named[0].startswith(f"{paths[0]}:2: not a JSON row")
    assert "12 bad rows were skipped, of 12 allowed" in log


def test_a_damaged_archive(laid, fresh):
    (path,) = laid(gzip.compress(GOOD * 1000)[:-20], names="p{}.jsonl.gz")
    with pytest.raises(JobError, match=r"p0.jsonl.gz: the compressed file is damaged or cut off"):
        open_pools(fresh(), [path], Valid)


def test_what_lies_in_other_formats_is_read_as_rows(laid, fresh, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, listed = laid(b"text,n\na,1\n,2\n", b'[{"text": "a",\n "n": 1}, {"text": null, "n": 2}]', names="p{}.csv")
    Path(listed).rename(listed := listed.replace(".csv", ".json"))
    pq.write_table(pa.table({"text": ["a", None], "n": [1, 2]}), table := str(tmp_path / "lab" / "p.parquet"))
    for pool in open_pools(fresh(), [path, listed, table], Valid):
        assert [json.loads(line) for line in b"".join(pool.blocks()).splitlines()] == [
            {"text": "a", "n": 1},
            {"text": None, "n": 2},
        ]


def test_several_workers_see_what_one_sees(laid, fresh, monkeypatch):
    rows = [
        b'{"text": "%s", "__dj__stats__": {"a": %d%s}, "k%d": 1}\n'
        % (b"w " * (n % 9), n, b', "b": 1' if n > 150 else b"", n % 3)
        for n in range(200)
    ]
    paths = laid(b"".join(rows), b"nope\n" + b"".join(rows[::-1]).rstrip())
    for look in LOOKS:
        made = []
        for stretch, large in ((8 << 20, 1 << 60), (500, 0)):
            monkeypatch.setattr(scan, "CHUNK_BYTES", stretch)
            monkeypatch.setattr(opening, "LARGE", large)
            made.append(open_pools(fresh(), paths, look, skip_bad_rows=1))
        for one, two in zip(*made, strict=True):
            np.testing.assert_array_equal(one.starts, two.starts)
            np.testing.assert_array_equal(one.lengths, two.lengths)
            assert one.open_ends == two.open_ends
            if isinstance(one.scan_result, dict):
                assert list(one.scan_result) == list(two.scan_result) == ["a", "b"] if one is made[0][0] else ["b", "a"]
                for name in one.scan_result:
                    np.testing.assert_array_equal(one.scan_result[name], two.scan_result[name])
            elif isinstance(one.scan_result, np.ndarray):
                np.testing.assert_array_equal(one.scan_result, two.scan_result)
            else:
                assert one.scan_result == two.scan_result


def test_pools_that_are_not_there_or_hold_no_data(laid, fresh, tmp_path):
    laid()
    with pytest.raises(JobError, match="no data set at"):
        open_pools(fresh(), [str(tmp_path / "gone.jsonl")], Valid)
    with pytest.raises(JobError, match="no data set in the folder"):
        open_pools(fresh(), [str(tmp_path / "lab")], Valid)
    with pytest.raises(JobError, match="no file matches"):
        open_pools(fresh(), [str(tmp_path / "*.jsonl")], Valid)
