"""What all manipulators do alike: places, reruns, one worker or several."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.components.pools import open_pools, pool_io, scan
from data_juicer_sandbox.components.pools.combination import DataPoolCombination
from data_juicer_sandbox.components.pools.construction import DataPoolConstruction
from data_juicer_sandbox.components.pools.downsampling import DataPoolDownsampling
from data_juicer_sandbox.components.pools.duplication import DataPoolDuplication
from data_juicer_sandbox.components.pools.merging import DataPoolMerging
from data_juicer_sandbox.components.pools.mixing import DataPoolMixing
from data_juicer_sandbox.components.pools.pool_io import common_name
from data_juicer_sandbox.errors import ConfigError, JobError

EVERY = [
    DataPoolConstruction,
    DataPoolCombination,
    DataPoolDownsampling,
    DataPoolDuplication,
    DataPoolMerging,
    DataPoolMixing,
]


def state(paths) -> dict[str, tuple[int, int]]:
    """What tells whether files were written again."""
    return {path: (Path(path).stat().st_ino, Path(path).stat().st_mtime_ns) for path in paths}


@pytest.fixture
def pool(jsonl):
    def make(name: str = "p.jsonl", size: int = 9) -> str:
        return jsonl(name, [{"n": n, "__dj__stats__": {"s": n}} for n in range(size)])

    return make


@pytest.mark.parametrize("kind", EVERY)
def test_a_place_that_cannot_be(kind, job, pool, tmp_path):
    path = pool("in/p.jsonl")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(JobError, match=r"/file is a file, and new pools need a folder there"):
        kind(path, str(tmp_path / "file")).run(job)
    with pytest.raises(JobError, match=r"would be among the files of an input pool \(an export_path outside"):
        kind(str(tmp_path / "in"), str(tmp_path / "in" / "new")).run(job)
    with pytest.raises(JobError, match=r"would be among the files"):
        kind(str(tmp_path / "in" / "**" / "*.jsonl"), str(tmp_path / "in" / "new" / "deep")).run(job)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["p.jsonl"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_pattern_claims_what_it_matches_and_nothing_below(job, pool, tmp_path, monkeypatch):
    pool("in/p.jsonl")
    pattern = str(tmp_path / "in" / "*.jsonl")
    with pytest.raises(JobError, match="would be among the files"):
        DataPoolMerging(pattern, str(tmp_path / "in" / "all.jsonl")).run(job)
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises(JobError, match="would be among the files"):
        DataPoolMerging("*.jsonl", "../in/all.jsonl").run(job)
    with pytest.raises(JobError, match="would be among the files"):
        DataPoolMerging("../**/?.jsonl", "new/q.jsonl").run(job)
    assert DataPoolMerging("*.jsonl", "new/all.jsonl").run(job) == ["new/all.jsonl"]
    assert DataPoolMerging("../**/?.jsonl", "new/all.jsonl").run(job) == ["new/all.jsonl"]


def test_a_file_of_a_pool_is_never_replaced_nor_a_folder_removed(job, pool, tmp_path):
    path = pool("p.jsonl")
    with pytest.raises(JobError, match="is both an input pool and a new pool"):
        DataPoolMerging(path, path).run(job)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(JobError, match="is both an input pool and a new pool"):
        DataPoolMerging(path, str(tmp_path / "link" / "p.jsonl")).run(job)
    (tmp_path / "out" / "p_merged.jsonl").mkdir(parents=True)
    with pytest.raises(JobError, match=r"p_merged.jsonl is a folder, and a new pool would be written there"):
        DataPoolMerging(path, str(tmp_path / "out")).run(job)


@pytest.mark.parametrize("kind", EVERY[:4])
def test_many_pools_need_a_folder(kind):
    with pytest.raises(ConfigError, match=r"export_path 'out.jsonl' is a file name \(expected a folder\)"):
        kind("p.jsonl", "out.jsonl")


@pytest.mark.parametrize("kind", EVERY)
def test_pools_that_are_missing(kind, job, pool, tmp_path, log):
    paths = [pool(), str(tmp_path / "gone.jsonl"), str(tmp_path / "gone*.jsonl")]
    with pytest.raises(JobError, match=r"no data pool at .*gone.jsonl, .*gone\*.jsonl \(skip_missing: true skips"):
        kind(paths, str(tmp_path / "out")).run(job)
    if kind is not DataPoolMixing:  # its shares are those of all pools
        assert kind(paths, str(tmp_path / "out"), skip_missing=True).run(job)
        assert f"no data pool at {paths[1]}: skipped" in log


@pytest.mark.parametrize("kind", EVERY)
def test_a_rerun_makes_what_is_missing_or_damaged_and_nothing_else(kind, job, pool, tmp_path, log):
    path = pool()

    def run():
        return kind(path, str(tmp_path / "out")).run(job)

    made = run()
    before, contents = state(made), {path: Path(path).read_bytes() for path in made}
    assert run() == made
    assert state(made) == before
    assert f"{len(made)} of {len(made)} new pools exist already and are complete: kept" in log
    Path(made[0]).unlink()
    assert run() == made
    assert {path for path in made if state([path])[path] != before[path]} == {made[0]}
    with Path(made[-1]).open("ab") as stream:
        stream.write(b"{}\n")
    run()
    assert {path: Path(path).read_bytes() for path in made} == contents
    pool(size=12)  # other rows in the same place
    made = run()
    assert not set(state(made).items()) & set(before.items())


def test_other_parameters_make_it_anew(job, pool, tmp_path):
    path = pool()

    def run(**parameters):
        (made,) = DataPoolDuplication(path, str(tmp_path / "out"), [3], **parameters).run(job)
        return state([made])[made]

    assert len({run(), run(shuffle=True), run(shuffle=True, shuffle_seed=1), run(shuffle=True, shuffle_seed=2)}) == 4
    assert run() == run(skip_bad_rows=3)


def test_pools_that_swap_their_contents_and_places_are_made_anew(job, jsonl, tmp_path):
    one, two = jsonl("a.jsonl", ['{"n": 1}']), jsonl("b.jsonl", ['{"n": 2}'])
    made = DataPoolDownsampling([one, two], str(tmp_path / "out")).run(job)
    jsonl("a.jsonl", ['{"n": 2}'])
    jsonl("b.jsonl", ['{"n": 1}'])
    DataPoolDownsampling([two, one], str(tmp_path / "out")).run(job)
    assert [Path(path).read_text() for path in made] == ['{"n": 2}\n', '{"n": 1}\n']


def test_what_was_unpacked_goes_when_all_is_written(job, pool, tmp_path):
    import gzip

    packed = Path(pool())
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(packed.read_bytes()))
    DataPoolMerging(str(tmp_path / "p.jsonl.gz"), str(tmp_path / "out")).run(job)
    assert [path.name for path in job.folder.iterdir()] == ["made.jsonl"]


@pytest.mark.parametrize("kind", EVERY)
def test_several_workers_make_the_same_bytes(kind, laid, fresh, tmp_path, monkeypatch):
    lines = [b'{"n": %d, "text": "w w", "__dj__stats__": {"s": %d, "t": [%d]}}\n' % (n, n % 7, -n) for n in range(300)]
    paths = laid(b"".join(lines), b"".join(lines[100:] + lines[:50]).rstrip(), b"".join(lines[::2]))
    results = []
    for number, (stretch, large) in enumerate(((8 << 20, 1 << 60), (2000, 0))):
        monkeypatch.setattr(scan, "CHUNK_BYTES", stretch)
        monkeypatch.setattr(open_pools, "LARGE", large)
        monkeypatch.setattr(pool_io, "LARGE", large)
        made = kind(paths, str(tmp_path / "lab" / f"out{number}")).run(fresh())
        results.append([(Path(path).name, Path(path).read_bytes()) for path in made])
    assert results[0] == results[1]
    assert len(results[0][0][1]) > 100


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["a/run_1.jsonl", "b/run_2.jsonl.gz"], "run"),
        (["x.jsonl"], "x"),
        (["x_.jsonl"], "x_"),
        (["a/x.jsonl", "b/x.jsonl"], "x"),
        (["abc.jsonl", "abd.jsonl"], "ab"),
        (["a.jsonl", "b.jsonl"], "pools"),
        (["-a.jsonl", "-b.jsonl"], "pools"),
    ],
)
def test_what_pools_are_called_together(names, common):
    assert common_name(names) == common
