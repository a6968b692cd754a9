"""A checkpoint of a stranger: whatever its bytes are, it is read as plain values, or ends with one error."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from contextlib import suppress
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.context import pickle_reader
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.context.tagged_values import decode, encode
from data_juicer_sandbox.errors import CheckpointError

NAME = "context_infos.pkl"


def record(**outputs):
    return [{"p": [{"meta_name": "j", **outputs, "__job__": {"phase": "probe", "status": "done"}}]}]


@given(data=st.data())
def test_a_mutated_checkpoint_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("mutated")
    frame = pd.DataFrame({"n": [1.5, 2], "s": ["a", "b"], "c": pd.Categorical(["x", "y"])})
    context = ContextInfos()
    outputs = {"f": frame, "a": np.arange(5), "m": {"k": [1, {2}, (3, None)]}, "d": datetime(2026, 1, 1)}
    context.put("p", JobRecord("j", outputs, Provenance(phase="probe", status="done")))
    Checkpoint(folder).write(context)
    body = bytearray((folder / NAME).read_bytes().rpartition(b"\n#xxh3_128")[0])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    (folder / NAME).write_bytes(bytes(body))
    with suppress(CheckpointError):
        assert isinstance(Checkpoint(folder).read(), ContextInfos)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    with suppress(pickle.UnpicklingError, ValueError):
        decode(pickle_reader.loads(data))


def size(number):
    return number.to_bytes(8, "little")


BOMBS = {
    "nested lists": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "nested tuples": b"\x80\x04)" + b"\x85" * 100_000 + b".",
    "a list that holds itself": b"\x80\x04]\x94h\x00a.",
    "a mapping that holds itself": b"\x80\x04}\x94\x8c\x01xh\x00s.",
    "a long integer": b"\x80\x04\x8b" + (10**5).to_bytes(4, "little") + b"\x01" * 100_000 + b".",
    "a negative length": b"\x80\x04\x8b\xff\xff\xff\xff.",
    "bytes of 2**60": b"\x80\x04\x8e" + size(2**60) + b"x.",
    "a text of 2**63": b"\x80\x04\x8d" + size(2**63) + b"x.",
    "a memo index of 2**31": b"\x80\x04]r\xff\xff\xff\x7fj\xfe\xff\xff\x7fa.",
    "marks only": b"\x80\x04" + b"(" * 100_000 + b".",
    "an unhashable key": b"\x80\x04}]]s.",
    "an unhashable item": b"\x80\x04\x8f(]\x90.",
    "nothing": b"",
    "two values": b"\x80\x04]].",
    "no end": b"\x80\x04]",
    "more after its end": pickle.dumps(record(x=1), 4) * 2,
    "a tuple of the one before it twice": b"\x80\x04)\x94"
    + b"".join(b"h%ch%c\x86\x94" % (number, number) for number in range(60))
    + b".",
    "a list of the one before it twice": b"\x80\x04]\x94"
    + b"".join(b"]\x94(h%ch%ce" % (number, number) for number in range(60))
    + b"\x86" * 60
    + b".",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_with_one_error(tmp_path, name):
    (tmp_path / NAME).write_bytes(BOMBS[name])
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="the checkpoint cannot be used"):
        Checkpoint(tmp_path).read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 << 20


class Call:
    """Pickles as a call."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


OBJECTS = {
    "array": np.arange(3),
    "frame": pd.DataFrame({"a": [1]}),
    "objects from bytes": Call(np.ndarray, ((2,), "O", b"x" * 16)),
    "state of a dtype": Call(np.dtype, ("V8",), (3, "|", None, ("a",), {"a": (np.dtype("O"), 1 << 40)}, 8, 1, 16)),
    "a class": np.ndarray,
    "a date": datetime(2026, 1, 1),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_need_trust(tmp_path, name, config_file, capsys):
    """Checkpoints of earlier versions hold them; crafted ones could do harm with these names alone."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).write_bytes(pickle.dumps(record(x=OBJECTS[name]), 4))
    with pytest.raises(CheckpointError, match=r"earlier version.*\(--trust-checkpoint reads it once"):
        Checkpoint(tmp_path / "out").read()
    config = config_file({"work_dir": "out"})
    for command in ([], ["plan"]):
        assert main([*command, "--config", str(config), "--resume", "true"]) == 2
        assert "--trust-checkpoint" in capsys.readouterr().err


def test_a_trusted_old_checkpoint_is_read_and_written_in_the_new_form(tmp_path):
    (tmp_path / NAME).write_bytes(pickle.dumps(record(a=np.arange(3), d=datetime(2026, 1, 1)), 4))
    read = Checkpoint(tmp_path).read(trust=True)
    Checkpoint(tmp_path).write(read)
    again = Checkpoint(tmp_path).read().plain()[0]["p"][0]
    np.testing.assert_array_equal(again["a"], np.arange(3))
    assert again["d"] == datetime(2026, 1, 1)


def test_trust_on_the_command_line(tmp_path, config_file, capsys):
    give = {"type": "toy_lab.steps.Give", "value": 1}
    config = config_file(
        {"work_dir": "out", "probe_job_configs": [{"hook": "GeneralProbeHook", "extra_configs": give}]}
    )
    assert main(["--config", str(config)]) == 0
    path = tmp_path / "out" / NAME
    value = pickle.loads(path.read_bytes())
    next(iter(value[0].values()))[0]["res_1"] = np.arange(3)
    path.write_bytes(pickle.dumps(value, 4))
    assert main(["--config", str(config), "--resume", "true"]) == 2
    assert main(["plan", "--config", str(config), "--resume", "true", "--trust-checkpoint"]) == 0
    assert main(["--config", str(config), "--resume", "true", "--trust-checkpoint"]) == 0
    assert main(["--config", str(config), "--resume", "true"]) in (0, 2)
    capsys.readouterr()


@pytest.mark.parametrize("value", ["true", "false", "1"])
@pytest.mark.parametrize("command", [[], ["plan"]])
def test_no_variable_switches_trust_on(tmp_path, config_file, monkeypatch, capsys, command, value):
    """Every other option can be set by one."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).write_bytes(pickle.dumps(record(x=np.arange(3)), 4))
    monkeypatch.setenv("DJ_SANDBOX_TRUST_CHECKPOINT", value)
    assert main([*command, "--config", str(config_file({"work_dir": "out"})), "--resume", "true"]) == 2
    shown = capsys.readouterr().err
    assert "DJ_SANDBOX_TRUST_CHECKPOINT is ignored" in shown
    assert "written by an earlier version" in shown


def test_no_config_switches_trust_on(config_file, capsys):
    assert main(["validate", "--config", str(config_file({"trust_checkpoint": True}))]) == 2
    assert "unknown key 'trust_checkpoint'" in capsys.readouterr().err


def test_trust_does_not_extend_to_other_names(tmp_path):
    (tmp_path / NAME).write_bytes(pickle.dumps(record(x=Call(os.mkdir, (str(tmp_path / "y"),))), 4))
    with pytest.raises(CheckpointError, match=r"names posix\.mkdir"):
        Checkpoint(tmp_path).read(trust=True)
    assert not (tmp_path / "y").exists()


def test_an_old_checkpoint_of_plain_values_needs_no_trust(tmp_path):
    stamp = (1, 2.5, "x")
    old = record(n=[stamp, stamp], m={"a": stamp}, s={1, 2}, f=frozenset({3}), big=2**70, b=b"\0")
    for protocol in (2, 4):
        (tmp_path / NAME).write_bytes(
            pickle.dumps(old, protocol) if protocol == 4 else pickle.dumps(record(n=[stamp]), 2)
        )
        assert Checkpoint(tmp_path).read().plain() == (old if protocol == 4 else record(n=[stamp]))


def tampered(**changes):
    return {**encode(np.arange(6.0)), **changes}


def stream(column, **options):
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([column], names=["values"])
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def foreign_offsets():
    """Texts whose offsets point far beyond their bytes."""
    data = stream(pa.array(["a" * 777, "b"], pa.large_string()))
    offset = (777).to_bytes(8, "little")
    assert data.count(offset) == 1
    return data.replace(offset, (10**9).to_bytes(8, "little"))


def texts(data):
    return {"__dj_value__": "strings", "storage": "python", "na_is_nan": False, "data": data}


def series(data, length=2):
    return {"__dj_value__": "series", "name": None, "index": encode(pd.RangeIndex(length)), "data": data}


PLAIN = stream(pa.array(np.arange(6.0)))


def unverified(data):
    """The stream with a first message whose header points far away, and is of a type that Arrow does not have.

    Arrow verifies the headers of its own types only; to read this one as a schema ends the process by a signal.
    """
    message = bytearray(data)
    table = 8 + int.from_bytes(message[8:12], "little")  # behind the continuation mark and the length
    vtable = table - int.from_bytes(message[table : table + 4], "little", signed=True)
    kind, header = (table + int.from_bytes(message[at : at + 2], "little") for at in (vtable + 6, vtable + 8))
    message[kind] = 128
    header += int.from_bytes(message[header : header + 4], "little")
    message[header : header + 4] = (-(2**31)).to_bytes(4, "little", signed=True)
    return bytes(message)


TAMPERED = {
    "a header of an unknown type": tampered(data=unverified(PLAIN)),
    "a shape that does not fit": tampered(shape=[10**9]),
    "a negative shape": tampered(shape=[-1]),
    "a shape that overflows": tampered(shape=[2**32, 2**32, 6]),
    "100 dimensions": tampered(shape=[1] * 99 + [6]),
    "objects": tampered(dtype="|O"),
    "structures": tampered(dtype="f8,O"),
    "a type by name": tampered(dtype="object"),
    "void": tampered(dtype="V8"),
    "a huge text type": tampered(dtype="U999999999"),
    "compressed": tampered(data=stream(pa.array(np.zeros(6)), compression="zstd")),
    "cut": tampered(data=PLAIN[:-30]),
    "a flipped length": tampered(data=PLAIN.replace((48).to_bytes(8, "little"), (2**40).to_bytes(8, "little"))),
    "no bytes": tampered(data=7),
    "missing numbers": tampered(data=stream(pa.array([1.0, None]))),
    "lists": tampered(data=stream(pa.array([[1], [2]]))),
    "a dictionary": tampered(data=stream(pa.array(["a"]).dictionary_encode())),
    "texts for numbers": tampered(data=stream(pa.array(["a"], pa.large_string()))),
    "foreign offsets": series(texts(foreign_offsets())),
    "numbers for texts": series(texts(PLAIN)),
    "an unknown storage": series({**texts(stream(pa.array(["a", "b"], pa.large_string()))), "storage": "os"}),
    "codes beyond the categories": series(
        {
            "__dj_value__": "categorical",
            "codes": encode(np.array([0, 99], "i1")),
            "categories": encode(pd.Index(["a"])),
            "ordered": False,
        }
    ),
    "an unknown time zone": series(
        {"__dj_value__": "datetimes", "tz": "Moon/Crater", "data": encode(np.zeros(2, "M8[ns]"))}
    ),
    "an unknown masked type": series({"__dj_value__": "masked", "dtype": "x", "data": 1, "missing": 2}),
    "an unknown kind of column": series({"__dj_value__": "os.system"}),
    "a series longer than its index": series(encode(np.arange(3))),
    "a frame shorter than its index": {
        "__dj_value__": "dataframe",
        "columns": encode(pd.Index(["a"])),
        "index": encode(pd.RangeIndex(9)),
        "data": [encode(np.arange(3))],
        "attrs": {},
    },
    "an unknown kind": {"__dj_value__": "os.system", "data": "true"},
    "no kind": {"__dj_value__": ["x"]},
    "a date that is none": {"__dj_value__": "date", "data": "tomorrow"},
    "a range without end": {"__dj_value__": "index", "range": [0, 10**30, 1], "names": [None]},
    "a range of texts": {"__dj_value__": "index", "range": ["x"], "names": [None]},
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_arrays_are_refused(tmp_path, name):
    (tmp_path / NAME).write_bytes(pickle.dumps(record(x=TAMPERED[name]), protocol=4))
    with pytest.raises(CheckpointError, match="the checkpoint cannot be used"):
        Checkpoint(tmp_path).read()
