"""Provenance: the shape in which the checkpoint stores it, of this version and of others."""

from __future__ import annotations

import json

import pytest

from data_juicer_sandbox.context.provenance import Provenance, Trace

DONE = {
    "hook": "ProbeHook",
    "phase": "probe",
    "status": "done",
    "started": 1.5,
    "ended": 4.0,
    "seconds": 2.5,
    "trace": {
        "config": {"extra_configs.lr": "aa"},
        "code": {"mine": "bb"},
        "inputs": {"in.jsonl": ("1:2", "cc")},
        "outputs": {"out.jsonl": ("3:4", "dd")},
        "changed_inputs": ["in.jsonl"],
    },
}
FAILED = {**{key: value for key, value in DONE.items() if key != "trace"}, "status": "failed", "error": "no space"}
WITHOUT_CODE = {**DONE, "trace": {"config": {}, "inputs": {}, "outputs": {"out.jsonl": ("1", "2", "3")}}}


@pytest.mark.parametrize(
    "stored",
    [DONE, FAILED, WITHOUT_CODE, {}, {"status": "done"}, {**DONE, "seed": 3}],
    ids=["done", "failed", "without code digests", "empty", "status only", "of a later version"],
)
def test_what_is_read_is_written_in_the_same_bytes(stored):
    assert json.dumps(Provenance.from_plain(stored).plain()) == json.dumps(stored)


def test_the_trace_can_be_left_out():
    assert "trace" not in Provenance.from_plain(DONE).plain(trace=False)


def test_a_record_without_a_trace_has_no_files():
    assert (Provenance().inputs, Provenance().outputs) == ({}, {})
    assert Provenance(trace=Trace(outputs={"a": ("1", "2")})).outputs == {"a": ("1", "2")}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("hook", 3),
        ("error", ["x"]),
        ("started", float("nan")),
        ("seconds", True),
        ("trace", []),
        ("trace.config", {"config": {"lr": 3}}),
        ("trace.inputs", {"inputs": {"a": ()}}),
        ("trace.changed_inputs", {"changed_inputs": "a"}),
    ],
)
def test_a_damaged_part_is_named(part, value):
    with pytest.raises(ValueError, match=f"^{part}$"):
        Provenance.from_plain({part.partition(".")[0]: value})
