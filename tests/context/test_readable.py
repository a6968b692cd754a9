"""The readable twin of the checkpoint: no result is left out of it, and none makes it huge or fails the run."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest

from data_juicer_sandbox import secrets
from data_juicer_sandbox.context.arrays import encode as encode_array
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.context.readable import MAX_REPEATED, to_json_value
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.context.tagged_values import encode
from data_juicer_sandbox.errors import CheckpointError, JobError


def written(folder, value):
    """What stands in `context_infos.json` for an output."""
    context = ContextInfos()
    context.put("p", JobRecord("j", {"x": to_plain(value, "x")}, Provenance(phase="probe", status="done")))
    Checkpoint(folder).write(context)
    return json.loads((folder / "context_infos.json").read_text(encoding="utf-8"))["iterations"][0]["p"][0]["x"]


SHOWN = {
    "a frame": (pd.DataFrame({"a": [1, 2]}), {"a": {"0": 1, "1": 2}}),
    "a series": (pd.Series([1, 2], index=["x", "y"]), {"x": 1, "y": 2}),
    "columns of one name": (
        pd.DataFrame([[1, 2.5], [3, 4.5]], columns=["a", "a"]),
        {"columns": ["a", "a"], "index": [0, 1], "data": [[1, 3], [2.5, 4.5]]},
    ),
    "rows of one label": (
        pd.DataFrame({"a": [1, 2]}, index=["r", "r"]), {"columns": ["a"], "index": ["r", "r"], "data": [[1, 2]]}
    ),
    "items of one label": (pd.Series([1, 2], index=[5, 5]), {"name": None, "index": [5, 5], "data": [1, 2]}),
    "a text and a number": ({1: "a", "1": "b"}, {"1": "b", "1 (int)": "a"}),
    "keys of four types": (
        {None: 1, "None": 2, 1.5: 3, "1.5": 4, "1.5 (float)": 5},
        {"None": 2, "1.5": 4, "1.5 (float)": 5, "None (NoneType)": 1, "1.5 (float) (float)": 3},
    ),
    "a column by number and by text": (
        pd.DataFrame([[1, 2]], columns=pd.Index([1, "1"], dtype=object)), {"1": {"0": 2}, "1 (int)": {"0": 1}}
    ),
    "a long range": (pd.RangeIndex(1 << 40), "RangeIndex(start=0, stop=1099511627776, step=1)"),
    "a short range": (pd.RangeIndex(3), [0, 1, 2]),
    "numbers that JSON lacks": ([float("nan"), -float("inf")], ["nan", "-inf"]),
    "half a surrogate pair": ("\ud800", "\ud800"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_is_left_out(tmp_path, name):
    value, shown = SHOWN[name]
    assert written(tmp_path, value) == shown


def test_the_texts_of_categories_are_not_repeated_without_end(tmp_path):
    text = "a" * (MAX_REPEATED // 999)
    column = pd.Categorical.from_codes(np.zeros(1000, "i1"), [text])
    for value in (pd.Series(column), pd.DataFrame({"c": column}), pd.Index(column), pd.Series(1, index=column)):
        shown = json.dumps(to_json_value(value))
        assert len(shown) < 2 * len(text)
        assert text in shown
    assert to_json_value(pd.Series(column[:2])) == {"0": text, "1": text}


def test_the_labels_of_rows_are_not_repeated_beside_each_column():
    frame = pd.DataFrame([[1] * 300], index=["a" * (MAX_REPEATED // 299)])
    shown = to_json_value(frame)
    assert shown["index"] == list(frame.index)
    assert shown["data"] == [[1]] * 300


def test_a_time_that_cannot_be_shown_does_not_fail_the_run(tmp_path):
    far = {"__dj_value__": "timestamp", "data": 1 << 62, "unit": "s", "tz": "Asia/Tokyo"}
    record = [{"p": [{"meta_name": "j", "x": far, "__job__": {}}]}]
    (tmp_path / "context_infos.pkl").write_bytes(pickle.dumps(record, 4))
    Checkpoint(tmp_path).write(Checkpoint(tmp_path).read())
    assert "cannot be shown" in (tmp_path / "context_infos.json").read_text()


def test_a_secret_that_a_job_puts_out_is_masked(tmp_path, monkeypatch):
    """The checkpoint itself keeps the value: another job may read it."""
    monkeypatch.setattr(secrets, "_secrets", {"correct horse battery"})
    value = {"said": ["correct horse battery"], "correct horse battery": b"correct horse battery", "token": "a word"}
    assert written(tmp_path, value) == {"said": ["***"], "***": "b'***'", "token": "a word"}
    assert Checkpoint(tmp_path).read()["p.j.x"] == value


def no_encoding(item, name):
    return item


HUGE = {
    "a shape without numbers": {**encode(np.zeros(0)), "shape": [1 << 40, 0]},
    "a range of categories": {
        "__dj_value__": "index", "freq": None, "names": [None], "data": {
            "__dj_value__": "categorical", "ordered": False, "codes": encode(np.zeros(2, "i1")),
            "categories": encode_array(pd.RangeIndex(1 << 40), no_encoding)}},
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_what_takes_no_bytes_and_all_memory_is_refused(tmp_path, name):
    record = [{"p": [{"meta_name": "j", "x": HUGE[name], "__job__": {}}]}]
    (tmp_path / "context_infos.pkl").write_bytes(pickle.dumps(record, 4))
    with pytest.raises(CheckpointError, match=r"too large a shape|are allowed"):
        Checkpoint(tmp_path).read()


def test_a_job_may_not_put_it_out_either():
    with pytest.raises(JobError, match="shape"):
        to_plain(np.zeros((2_000_000, 0)), "x")
