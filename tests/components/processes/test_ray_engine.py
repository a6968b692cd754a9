"""On Ray, everything is as it is without."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.pools import scan
from data_juicer_sandbox.components.pools.combination import DataPoolCombination
from data_juicer_sandbox.components.pools.construction import DataPoolConstruction
from data_juicer_sandbox.components.pools.downsampling import DataPoolDownsampling
from data_juicer_sandbox.components.pools.merging import DataPoolMerging
from data_juicer_sandbox.components.pools.mixing import DataPoolMixing
from data_juicer_sandbox.components.processes.worker_pool import run_all
from data_juicer_sandbox.errors import JobError, Where

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _ray():
    yield
    import ray

    ray.shutdown()


def test_results_in_order_and_errors_as_themselves():
    def slower_first(shared, item):
        import time

        time.sleep(0 if item else 1)
        return item * shared

    def fails(shared, item):
        if item == 2:
            raise JobError("no good", where=Where("a.jsonl", 7), hint="better")
        return item

    assert list(run_all(slower_first, 2, list(range(6)), "ray", large=False)) == [0, 2, 4, 6, 8, 10]
    assert list(run_all(slower_first, 2, [], "ray", large=False)) == []
    with pytest.raises(JobError) as caught:
        list(run_all(fails, None, list(range(6)), "ray", large=False))
    assert str(caught.value) == "a.jsonl:7: no good (better)"


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (DataPoolConstruction, {"with_control": True}),
        (DataPoolCombination, {}),
        (DataPoolDownsampling, {}),
        (DataPoolMerging, {"deduplicate": True}),
        (DataPoolMerging, {"export_type": "parquet"}),
        (DataPoolMixing, {"shares": [1, 2, 3], "total_tokens": 100}),
    ],
)
def test_the_same_bytes(kind, parameters, tmp_path, monkeypatch):
    import gzip

    monkeypatch.setattr(scan, "CHUNK_BYTES", 4000)
    lines = [b'{"n": %d, "text": "w w", "__dj__stats__": {"s": %d, "t": [%d]}}\n' % (n, n % 7, -n) for n in range(300)]
    (tmp_path / "p0.jsonl").write_bytes(b"".join(lines))
    (tmp_path / "p1.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[100:] + lines[:50]).rstrip()))
    (tmp_path / "p2").mkdir()
    for shard in range(3):
        (tmp_path / "p2" / f"{shard}.jsonl").write_bytes(b"".join(lines[shard::4]))
    made = {}
    for engine in ("local", "ray"):
        (tmp_path / engine).mkdir()
        quiet = NullJob()
        job = JobRun("anonymous", "a_job", tmp_path / engine, quiet, quiet)
        paths = [str(tmp_path / name) for name in ("p0.jsonl", "p1.jsonl.gz", "p2")]
        out = kind(paths, str(tmp_path / engine / "out"), engine=engine, **parameters).run(job)
        made[engine] = [(Path(path).name, Path(path).read_bytes()) for path in out]
        assert kind(paths, str(tmp_path / engine / "out"), engine=engine, **parameters).run(job) == out
    assert made["local"] == made["ray"]


def test_a_bad_row_is_named(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'{"n": 1}\nnope\n')
    quiet = NullJob()
    job = JobRun("anonymous", "a_job", tmp_path, quiet, quiet)
    with pytest.raises(JobError, match=r"p.jsonl:2: not a JSON row"):
        DataPoolMerging(str(tmp_path / "p.jsonl"), str(tmp_path / "out"), engine="ray").run(job)
