"""The journal: cut anywhere it gives all whole entries; damaged it is refused; it adds to its own checkpoint only."""

import itertools
import os
import pickle
import stat
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.context import checkpoint as checkpoints
from data_juicer_sandbox.context import journal as journals
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.journal import NAME, Journal, encode_entry
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.errors import CheckpointError
from data_juicer_sandbox.results import load_results


def record(name, **outputs):
    return JobRecord(name, outputs, Provenance(phase="probe", status="done", hook="H"))


def saved(folder, *records, checkpoint=None, context=None):
    """A checkpoint with the first record, and a journal with the others."""
    context, checkpoint = context or ContextInfos(), checkpoint or Checkpoint(folder)
    for number, item in enumerate(records):
        context.put("p", item)
        if number:
            checkpoint.append(context, "p", item)
        else:
            checkpoint.write(context)
    return checkpoint, context


def names(folder):
    return [item.meta_name for _, item in Checkpoint(folder).read().records()]


@pytest.fixture
def five(tmp_path):
    return saved(tmp_path, *(record(f"j{n}", n=n, array=np.arange(n)) for n in range(5)))


def test_what_is_appended_is_read(tmp_path, five):
    read = Checkpoint(tmp_path).read()
    assert names(tmp_path) == ["j0", "j1", "j2", "j3", "j4"]
    assert read["p.j4.array"].tolist() == [0, 1, 2, 3]
    assert list(load_results(tmp_path))[-1] == "p.j4.array"
    assert len(pickle.loads((tmp_path / "context_infos.pkl").read_bytes())[0]["p"]) == 1
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_finish_writes_the_whole_checkpoint_and_removes_the_journal(tmp_path, five):
    checkpoint, context = five
    checkpoint.finish(context)
    assert not (tmp_path / NAME).exists()
    assert len(pickle.loads((tmp_path / "context_infos.pkl").read_bytes())[0]["p"]) == 5
    assert names(tmp_path) == ["j0", "j1", "j2", "j3", "j4"]
    before = checkpoint.path.stat().st_mtime_ns
    checkpoint.finish(context)
    assert checkpoint.path.stat().st_mtime_ns == before


def test_the_journal_of_a_killed_run_is_written_into_the_checkpoint(tmp_path, five):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.finish(checkpoint.read())
    assert not (tmp_path / NAME).exists()
    assert len(pickle.loads((tmp_path / "context_infos.pkl").read_bytes())[0]["p"]) == 5


def test_cut_at_every_byte_it_has_all_whole_entries(tmp_path, five):
    """A run can be killed, or the power fail, at any byte: each job but the one in flight is there."""
    path = tmp_path / NAME
    whole = path.read_bytes()
    boundaries = [match.start() for match in journals._HEADER.finditer(whole)] + [len(whole)]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        n_whole = sum(boundary <= size for boundary in boundaries[1:]) - 1  # the first entry names the checkpoint
        assert len(names(tmp_path)) == 1 + max(0, n_whole), size
    assert len(boundaries) == 6


def test_a_tail_of_zeros_is_an_incomplete_entry(tmp_path, five):
    """Some file systems have the length of a file on the disk before its content."""
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes() + bytes(500))
    assert len(names(tmp_path)) == 5


@given(data=st.data())
def test_a_changed_byte_is_refused_or_belongs_to_the_last_entry(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("journal")
    saved(folder, *(record(f"j{n}", n=n) for n in range(4)))
    whole = bytearray((folder / NAME).read_bytes())
    last = [match.start() for match in journals._HEADER.finditer(whole)][-1]
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= data.draw(st.integers(1, 255))
    (folder / NAME).write_bytes(whole)
    if position >= last:
        assert names(folder) == ["j0", "j1", "j2"]
    else:
        with pytest.raises(CheckpointError, match=r"journal .* is damaged.*mv .*journal.damaged"):
            names(folder)


def test_the_journal_of_another_checkpoint_is_ignored(tmp_path, five):
    """A run was killed after it had written the checkpoint, and before it removed the journal."""
    journal = (tmp_path / NAME).read_bytes()
    checkpoint, context = five
    context.drop("p", "probe", "j4")
    checkpoint.write(context)
    (tmp_path / NAME).write_bytes(journal)
    assert names(tmp_path) == ["j0", "j1", "j2", "j3"]
    other = Checkpoint(tmp_path)
    again = other.read()
    saved(tmp_path, record("k0"), record("k1"), checkpoint=other, context=again)
    assert names(tmp_path) == ["j0", "j1", "j2", "j3", "k0", "k1"]


def test_a_removed_record_makes_the_next_saving_a_whole_one(tmp_path, five, monkeypatch):
    monkeypatch.setattr(checkpoints, "WRITING_SHARE", 0)
    checkpoint, context = five
    checkpoint.write(context)
    assert not checkpoint.is_due(context)
    context.drop("p", "probe", "nothing")
    assert not checkpoint.is_due(context)
    context.drop("p", "probe", "j3")
    assert checkpoint.is_due(context)
    checkpoint.write(context)
    context.turn_to(1)
    assert not checkpoint.is_due(context)
    context.end_with(0)
    assert checkpoint.is_due(context)


def test_entries_of_later_iterations(tmp_path):
    checkpoint, context = saved(tmp_path, record("a", n=1), record("b", n=2))
    context.turn_to(2)
    context.put("q", record("a", n=3))
    checkpoint.append(context, "q", record("a", n=3))
    read = Checkpoint(tmp_path).read()
    assert [list(iteration) for iteration in read.iterations] == [["p"], [], ["q"]]
    assert read["q.a.n"] == 3


class Exploit:
    def __reduce__(self):
        return (os.mkdir, ("proof",))


HOSTILE = {
    "code": Exploit(),
    "another shape": [1, 2],
    "no pipeline": {"iteration": 0, "record": {"meta_name": "x"}},
    "a huge iteration": {"iteration": 10**12, "pipeline": "p", "record": {"meta_name": "x"}},
    "a negative iteration": {"iteration": -1, "pipeline": "p", "record": {"meta_name": "x"}},
    "no record": {"iteration": 0, "pipeline": "p"},
    "a repeated list": {"iteration": 0, "pipeline": "p", "record": {"meta_name": "x", "y": [[0] * 9] * 2}},
    "a repeated text": {"iteration": 0, "pipeline": "p", "record": {"meta_name": "x", "y": ["0" * 999] * 99}},
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=list(HOSTILE))
def test_crafted_entries_are_refused_and_nothing_runs(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, record("a"), record("b"))
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes() + journals._frame(value))
    with pytest.raises(CheckpointError, match="journal of the checkpoint is damaged"):
        Checkpoint(tmp_path).read()
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("target", ["link", "pipe", "folder"])
def test_something_else_in_its_place(tmp_path, target):
    (tmp_path / "victim").write_text("the user's own")
    path = tmp_path / NAME
    if target == "link":
        path.symlink_to(tmp_path / "victim")
    elif target == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    if target == "folder":
        with pytest.raises(CheckpointError, match="cannot be written"):
            saved(tmp_path, record("a"), record("b"))
    else:
        saved(tmp_path, record("a"), record("b"))
        assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "victim").read_text() == "the user's own"


def test_a_full_disk_leaves_no_part_of_an_entry(tmp_path):
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "from data_juicer_sandbox.context.journal import Journal, encode_entry;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "j = Journal(Path(sys.argv[1])); entry = lambda n, x: encode_entry(0, 'p', {'meta_name': n, 'x': x});"
        "j.append('base', entry('a', 1));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: j.append('base', entry('b', 'x' * 9000))\n"
        "except OSError as error: print(error.errno)\n"
        "j.append('base', entry('c', 3))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "27\n"
    assert [entry.record.meta_name for entry in Journal(tmp_path).entries("base", 1 << 20)] == ["a", "c"]


def test_larger_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_BYTES", 2000)
    checkpoint, context = saved(tmp_path, record("a"))
    with pytest.raises(CheckpointError, match="the checkpoint would have"):
        checkpoint.append(context, "p", record("b", text="x" * 3000))
    checkpoint.append(context, "p", record("c"))
    assert names(tmp_path) == ["a", "c"]
    (tmp_path / NAME).write_bytes(bytes(2001))
    with pytest.raises(CheckpointError, match="more than 2,000 bytes"):
        Checkpoint(tmp_path).read()


def test_it_is_moved_aside_with_the_checkpoint(tmp_path, five):
    checkpoint, _ = five
    folder = checkpoint.set_aside()
    assert len(Checkpoint(folder).read().current["p"]) == 5
    assert not (tmp_path / NAME).exists()


def test_the_saving_of_a_job_does_not_grow_with_their_number(tmp_path, monkeypatch):
    """Bytes and flushes, not seconds: the whole checkpoint is written at the beginning and the end only."""
    monkeypatch.setattr(checkpoints, "WRITING_SHARE", 0)
    checkpoint, context = Checkpoint(tmp_path), ContextInfos()
    writes = []
    monkeypatch.setattr(Checkpoint, "write", lambda self, c, write=Checkpoint.write: writes.append(write(self, c)))
    sizes = []
    for n in range(300):
        item = record(f"j{n:04}", n=0.5)
        context.put("p", item)
        if checkpoint.is_due(context):
            checkpoint.write(context)
        else:
            checkpoint.append(context, "p", item)
        sizes.append(checkpoint._journal.size)
    assert len({after - before for before, after in itertools.pairwise(sizes[1:])}) == 1
    checkpoint.finish(context)
    assert len(writes) == 2
    assert len(names(tmp_path)) == 300


def test_an_entry_is_as_large_as_its_record():
    assert len(encode_entry(0, "p", {"meta_name": "a"})) < 150
