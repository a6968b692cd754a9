"""The checkpoint: whole or the one before, loadable by anybody, running nobody's code."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.errors import CheckpointError, JobError


def context(**outputs):
    made = ContextInfos()
    made.put("p", JobRecord("j", outputs, Provenance(phase="probe", status="done", hook="H")))
    return made


def test_what_is_written_is_read(tmp_path):
    outputs = {"a": 0.0, "b": [], "c": {"x": [1, None, "é"]}, "d": (1, 2), "e": {3}, "n": float("nan"), "big": 10**40}
    Checkpoint(tmp_path).write(context(**outputs))
    read = Checkpoint(tmp_path).read()
    assert repr(read.plain()) == repr(context(**outputs).plain())
    assert read["p.j.c.x.2"] == "é"


def test_numpy_and_pandas_pass(tmp_path):
    frame = pd.DataFrame({"s": ["a", "b"], "n": [1.5, np.nan], "i": [1, 2]}, index=["x", "y"])
    dated = pd.DataFrame({"v": [1, 2]}, index=pd.date_range("2026-01-01", periods=2))
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    Checkpoint(tmp_path).write(context(f=frame, d=dated, a=array, s=frame["n"], c=frame["s"].astype("category")))
    read = Checkpoint(tmp_path).read()
    pd.testing.assert_frame_equal(read["p.j.f"], frame)
    pd.testing.assert_frame_equal(read["p.j.d"], dated, check_freq=False)
    pd.testing.assert_series_equal(read["p.j.s"], frame["n"])
    assert list(read["p.j.c"]) == ["a", "b"]
    np.testing.assert_array_equal(read["p.j.a"], array)


def test_it_is_loadable_without_this_package(tmp_path):
    Checkpoint(tmp_path).write(context(score=0.5))
    code = (
        "import pickle, sys; value = pickle.load(open(sys.argv[1], 'rb'));"
        "assert not any(name.startswith('data_juicer_sandbox') for name in sys.modules);"
        "print(value[0]['p'][0]['meta_name'], value[0]['p'][0]['score'])"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "context_infos.pkl"], capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == ["j", "0.5"]


def test_the_readable_twin(tmp_path):
    Checkpoint(tmp_path).write(context(score=float("inf"), array=np.array([1, 2])))
    value = json.loads((tmp_path / "context_infos.json").read_text(), parse_constant=pytest.fail)
    assert value["iterations"][0]["p"][0]["score"] == "inf"
    assert value["iterations"][0]["p"][0]["array"] == [1, 2]
    assert value["iterations"][0]["p"][0]["__job__"]["hook"] == "H"


def test_the_one_before_is_kept(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.write(context(n=1))
    checkpoint.write(context(n=2))
    checkpoint.write(context(n=3))
    assert checkpoint.read()["p.j.n"] == 3
    assert pickle.loads((tmp_path / "context_infos.prev.pkl").read_bytes())[0]["p"][0]["n"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "context_infos.json", "context_infos.pkl", "context_infos.prev.pkl",
    ]  # fmt: skip


KILLED_AT_RENAME = (
    "import os, signal, sys; from pathlib import Path\n"
    "from data_juicer_sandbox.context.checkpoint import Checkpoint\n"
    "from data_juicer_sandbox.context.infos import ContextInfos, JobRecord\n"
    "from data_juicer_sandbox.context.provenance import Provenance\n"
    "renames = 0\n"
    "def count(event, _):\n"
    "    global renames\n"
    "    if event == 'os.rename':\n"
    "        renames += 1\n"
    "        if renames == int(sys.argv[2]):\n"
    "            os.kill(os.getpid(), signal.SIGKILL)\n"
    "sys.addaudithook(count)\n"
    "context = ContextInfos(); context.put('p', JobRecord('j', {'x': 3}, Provenance(status='done')))\n"
    "Checkpoint(Path(sys.argv[1])).write(context)\n"
)


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_killed_before_any_of_its_renames(tmp_path, rename):
    for number in (1, 2):
        Checkpoint(tmp_path).write(context(x=number))
    killed = subprocess.run([sys.executable, "-c", KILLED_AT_RENAME, tmp_path, str(rename)], check=False)
    assert killed.returncode == -9
    assert Checkpoint(tmp_path).read()["p.j.x"] == (3 if rename == 3 else 2)
    Checkpoint(tmp_path).write(context(x=4))
    assert Checkpoint(tmp_path).read()["p.j.x"] == 4
    assert not list(tmp_path.glob(".*"))


def test_truncated_anywhere_it_is_refused_and_the_good_copy_named(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.write(context(n=1, text="x" * 2000))
    checkpoint.write(context(n=2, text="y" * 2000))
    whole = checkpoint.path.read_bytes()
    sealed_from = whole.rindex(b"\n#xxh3_128")
    for size in [*range(0, len(whole), 64), len(whole) - 1]:
        if size == sealed_from:
            continue
        checkpoint.path.write_bytes(whole[:size])
        if size > sealed_from - 1 and size < sealed_from + 11:
            continue  # the pickle is whole and its seal is gone: still the right value
        with pytest.raises(CheckpointError, match="the copy before it is good: mv"):
            checkpoint.read()
    checkpoint.previous.write_bytes(b"")
    with pytest.raises(CheckpointError, match="no earlier copy is good"):
        checkpoint.read()


def test_a_flipped_bit_is_noticed(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.write(context(text="x" * 500))
    whole = bytearray(checkpoint.path.read_bytes())
    whole[250] ^= 1
    checkpoint.path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.read()


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_is_refused_by_name_and_nothing_runs(tmp_path, protocol):
    checkpoint, target = Checkpoint(tmp_path), tmp_path / "proof"
    checkpoint.path.write_bytes(pickle.dumps([{"p": [{"meta_name": "j", "x": Exploit(target)}]}], protocol))
    with pytest.raises(CheckpointError, match=r"names (posix|os)\.mkdir|unknown code b'l'"):
        checkpoint.read()
    assert not target.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cpandas\neval\n(S'1'\ntR.",
        b"cpandas\nread_pickle\n(S'/tmp/x'\ntR.",
        b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
        b"\x80\x04\x8c\x08builtins\x8c\x0aset.mro.im\x93.",
        b"Pfoo\n.",
    ],
)
def test_known_gadgets_are_refused(tmp_path, payload):
    Checkpoint(tmp_path).path.write_bytes(payload)
    with pytest.raises(CheckpointError, match=r"it names|it refers"):
        Checkpoint(tmp_path).read()


def test_a_pickle_of_another_shape_is_refused(tmp_path):
    Checkpoint(tmp_path).path.write_bytes(pickle.dumps({"p": 3}))
    with pytest.raises(CheckpointError, match="not a list of iterations"):
        Checkpoint(tmp_path).read()


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "from data_juicer_sandbox.context.checkpoint import Checkpoint;"
        "from data_juicer_sandbox.context.infos import ContextInfos, JobRecord;"
        "from data_juicer_sandbox.context.provenance import Provenance;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "c = Checkpoint(Path(sys.argv[1])); i = ContextInfos();"
        "i.put('p', JobRecord('j', {'n': 1}, Provenance(phase='probe', status='done'))); c.write(i);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "i.put('p', JobRecord('k', {'n': 'x' * 9000}, Provenance(phase='probe', status='done')))\n"
        "try: c.write(i)\n"
        "except Exception as error: print(error.exit_code); raise"
    )
    made = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert "CheckpointError" in made.stderr
    assert made.stdout == "1\n"
    assert "cannot be written" in made.stderr
    assert Checkpoint(tmp_path).read()["p.j.n"] == 1
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


def test_set_aside_never_overwrites(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    folders = set()
    for n in range(3):
        checkpoint.write(context(n=n))
        (tmp_path / "metrics.jsonl").write_text(str(n))
        folders.add(checkpoint.set_aside(tmp_path / "metrics.jsonl"))
    assert len(folders) == 3
    assert sorted((folder / "metrics.jsonl").read_text() for folder in folders) == ["0", "1", "2"]
    assert not checkpoint.exists()
    assert checkpoint.set_aside() is None


def test_what_the_context_takes():
    assert to_plain(Path("/a/b"), "x") == "/a/b"
    value = to_plain({"a": (np.float32(1.5), [np.int64(2)])}, "x")
    assert value == {"a": (1.5, [2])}
    assert type(value["a"][1][0]) is int
    with pytest.raises(JobError, match=r"output 'x.a.1' is a .*Exploit"):
        to_plain({"a": [1, Exploit("y")]}, "x")
    with pytest.raises(JobError, match=r"cannot be kept: column.0 holds a .*Exploit"):
        to_plain(pd.DataFrame({"o": [Exploit("y")]}), "x")
    with pytest.raises(JobError, match="array of Python objects"):
        to_plain(np.array([object()]), "x")
