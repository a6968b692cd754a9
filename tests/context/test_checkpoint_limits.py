"""A small checkpoint of a stranger takes neither the machine's time, memory nor disk."""

from __future__ import annotations

import os
import pickle
import sys

import numpy as np
import pandas as pd
import pytest

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.context import checkpoint as module
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.context.tagged_values import encode
from data_juicer_sandbox.errors import CheckpointError

NAME = "context_infos.pkl"
MODULUS = sys.hash_info.modulus


def size(number):
    return number.to_bytes(4, "little")


def around(value):
    """A checkpoint with one output, of the codes that make it."""
    before = b"\x80\x04]}\x8c\x01p]}(\x8c\x09meta_name\x8c\x01j\x8c\x01x"
    return before + value + b"uasa."


def record(value, job=None):
    return [{"p": [{"meta_name": "j", "x": value, "__job__": job or {}}]}]


def integer(number):
    return b"\x8a\x0c" + number.to_bytes(12, "little")


REPEATED = {
    "a text": b"](X" + size(10**6) + b"a" * 10**6 + b"q\x00" + b"h\x00" * 1000 + b"e",
    "bytes": b"](B" + size(10**6) + b"a" * 10**6 + b"q\x00" + b"h\x00" * 1000 + b"e",
    "an integer": b"](\x8b" + size(1690) + b"\x01" * 1690 + b"q\x00" + b"h\x00" * 100_000 + b"e",
    "a text in a list": b"](](X" + size(10**6) + b"a" * 10**6 + b"eq\x00" + b"h\x00" * 1000 + b"e",
}
COLLIDING = {
    "keys": b"}(" + b"".join(integer(n * MODULUS) + b"N" for n in range(1, 20_000)) + b"u",
    "keys one by one": b"}" + b"".join(integer(n * MODULUS) + b"Ns" for n in range(1, 20_000)),
    "items": b"\x8f(" + b"".join(integer(n * MODULUS) for n in range(1, 20_000)) + b"\x90",
    "items of a frozenset": b"(" + b"".join(integer(n * MODULUS) for n in range(1, 20_000)) + b"\x91",
    "tuples": b"}(" + b"".join(integer(n * MODULUS) + b"\x85N" for n in range(1, 20_000)) + b"u",
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_repeated_value_is_bounded(tmp_path, name):
    """The readable twin, which is written after the next job, holds it in full each time."""
    (tmp_path / NAME).write_bytes(around(REPEATED[name]))
    with pytest.raises(CheckpointError, match="unfold to too many characters"):
        Checkpoint(tmp_path).read()


@pytest.mark.parametrize("name", COLLIDING)
def test_keys_of_one_hash_are_refused(tmp_path, name):
    (tmp_path / NAME).write_bytes(around(COLLIDING[name]))
    with pytest.raises(CheckpointError, match="the same hash"):
        Checkpoint(tmp_path).read()


@pytest.mark.parametrize(
    "tagged",
    [
        {"__dj_value__": "mapping", "data": [(n * MODULUS, 0) for n in range(1, 5000)]},
        {"__dj_value__": "set", "data": [n * MODULUS for n in range(1, 5000)]},
        {
            "__dj_value__": "set",
            "data": [
                {"__dj_value__": "complex", "data": (-sys.hash_info.imag * n + 1.0, float(n))} for n in range(1, 5000)
            ],
        },
        {
            "__dj_value__": "series",
            "name": None,
            "index": {**encode(pd.Index([1], dtype=object)), "data": {
                "__dj_value__": "objects", "data": [n * MODULUS for n in range(1, 5000)]}},
            "data": encode(np.zeros(4999)),
        },
    ],
    ids=["mapping", "set", "complex numbers", "index"],
)  # fmt: skip
def test_encoded_keys_of_one_hash_are_refused(tmp_path, tagged):
    (tmp_path / NAME).write_bytes(pickle.dumps(record(tagged), 4))
    with pytest.raises(CheckpointError, match="the same hash"):
        Checkpoint(tmp_path).read()


def test_keys_of_honest_data_are_read(tmp_path):
    value = {
        **dict.fromkeys([2**64 + n for n in range(1000)]),
        **dict.fromkeys((a, b, c, -1) for a in range(-5, 5) for b in range(-5, 5) for c in range(-5, 5)),
    }
    (tmp_path / NAME).write_bytes(pickle.dumps(record([value] * 3), 4))
    assert Checkpoint(tmp_path).read().plain()[0]["p"][0]["x"] == [value] * 3


def test_a_long_range_is_written_as_its_bounds(tmp_path):
    tagged = {"__dj_value__": "index", "range": [0, 2**61, 1], "names": [None]}
    (tmp_path / NAME).write_bytes(pickle.dumps(record(tagged), 4))
    Checkpoint(tmp_path).write(Checkpoint(tmp_path).read())
    assert "RangeIndex(start=0, stop=2305843009213693952" in (tmp_path / "context_infos.json").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "<U1", "shape": [1], "data": encode(np.frombuffer(b"\xff\xff\xff\x7f", "u1"))["data"]},
        {"shape": [1] * 100_000},
        {"shape": ["1"]},
        {"dtype": "<f16"},
    ],
    ids=["no character", "many dimensions", "a text for a length", "long doubles"],
)
def test_arrays_that_numpy_cannot_show_are_refused(tmp_path, change):
    (tmp_path / NAME).write_bytes(pickle.dumps(record({**encode(np.zeros(1)), **change}), 4))
    with pytest.raises(CheckpointError, match="cannot be used"):
        Checkpoint(tmp_path).read()


@pytest.mark.parametrize("name", ["dateutil//etc/passwd", "dateutil/Europe/Berlin", "/etc/passwd", "../x", "x" * 1000])
def test_a_time_zone_names_no_file(tmp_path, name):
    times = {"__dj_value__": "datetimes", "tz": name, "data": encode(np.zeros(1, "M8[ns]"))}
    tagged = {"__dj_value__": "series", "name": None, "index": encode(pd.RangeIndex(1)), "data": times}
    (tmp_path / NAME).write_bytes(pickle.dumps(record(tagged), 4))
    with pytest.raises(CheckpointError, match=r"unknown time zone|ZoneInfo keys|cannot be used"):
        Checkpoint(tmp_path).read()


@pytest.mark.parametrize("command", [["plan"], []])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_only_a_regular_file_is_read(tmp_path, config_file, capsys, kind, command):
    path = tmp_path / "out" / NAME
    path.parent.mkdir()
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "device": lambda: path.symlink_to("/dev/zero")}[kind]()
    config = config_file({"work_dir": "out"})
    assert main([*command, "--config", str(config), "--resume", "true"]) == 2
    assert NAME in capsys.readouterr().err


def test_a_checkpoint_that_is_too_large_is_neither_read_nor_written(tmp_path, monkeypatch):
    context = ContextInfos()
    context.put("p", JobRecord("j", {"x": "y" * 5000}, Provenance(phase="probe", status="done")))
    with (tmp_path / NAME).open("wb") as file:
        file.truncate(module.MAX_BYTES + 1000)  # takes no room on the disk
    with pytest.raises(CheckpointError, match="are allowed"):
        Checkpoint(tmp_path).read()
    monkeypatch.setattr(module, "MAX_BYTES", 4000)
    with pytest.raises(CheckpointError, match="are allowed") as raised:
        Checkpoint(tmp_path).write(context)
    assert raised.value.exit_code == 1
    assert (tmp_path / NAME).stat().st_size > 4 << 30


DAMAGED = {
    **{f"trace {value!r}": {"trace": value} for value in (5, "x", [1])},
    **{f"seconds {value!r}": {"seconds": value} for value in ("x", [1], None, float("nan"), True, 10**400)},
    **{f"{key} a list": {key: []} for key in ("phase", "status", "hook", "started", "ended")},
    **{f"trace.{key}": {"trace": {key: [5]}} for key in ("config", "code", "inputs", "outputs")},
    "trace.inputs by number": {"trace": {"inputs": {5: ["a", "b"]}}},
    "a stamp that is a number": {"trace": {"inputs": {"a": 5}}},
    "an empty stamp": {"trace": {"outputs": {"a": []}}},
    "trace.changed_inputs": {"trace": {"changed_inputs": 5}},
    "trace.missing_inputs": {"trace": {"missing_inputs": [5]}},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_bookkeeping_is_refused(tmp_path, name):
    job = {"phase": "probe", "status": "done", **DAMAGED[name]}
    (tmp_path / NAME).write_bytes(pickle.dumps(record(1, job), 4))
    with pytest.raises(CheckpointError, match="has a damaged part"):
        Checkpoint(tmp_path).read()


@pytest.mark.parametrize("value", [[{1: []}], [{"p": None}], [{"p": {}}], [{"p": [{"meta_name": "j", 3: 4}]}]])
def test_records_of_another_shape_are_refused(tmp_path, value):
    (tmp_path / NAME).write_bytes(pickle.dumps(value, 4))
    with pytest.raises(CheckpointError, match="cannot be used"):
        Checkpoint(tmp_path).read()


@pytest.mark.parametrize("trace", [None, {}])
def test_a_record_without_a_trace_runs_again(tmp_path, config_file, capsys, trace):
    give = {"type": "toy_lab.steps.Give", "value": 1}
    config = config_file(
        {"work_dir": "out", "probe_job_configs": [{"hook": "GeneralProbeHook", "extra_configs": give}]}
    )
    assert main(["--config", str(config)]) == 0
    path = tmp_path / "out" / NAME
    value = pickle.loads(path.read_bytes())
    next(iter(value[0].values()))[0]["__job__"]["trace"] = trace
    path.write_bytes(pickle.dumps(value, 4))
    assert main(["--config", str(config), "--resume", "true"]) == 0
    capsys.readouterr()


def test_the_copy_before_may_be_of_an_earlier_version(tmp_path):
    (tmp_path / NAME).write_bytes(pickle.dumps(record(np.arange(3)), 4))
    Checkpoint(tmp_path).write(Checkpoint(tmp_path).read(trust=True))
    (tmp_path / NAME).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="the copy before it is of an earlier version"):
        Checkpoint(tmp_path).read()
