"""Readers of JSON treat deeply nested text as invalid; plain values are flattened and fingerprinted in one way."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.components.command import read_metrics
from data_juicer_sandbox.components.infer.remote.reply import error_of
from data_juicer_sandbox.components.infer.remote.transport import Reply
from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.lm.lora import find_adapter
from data_juicer_sandbox.components.train.worker import Receiver
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.plain_json import fingerprint, flatten, loads
from data_juicer_sandbox.watchers import local

DEEP = '{"a": ' + "[" * 50_000


@pytest.mark.parametrize("text", [DEEP, DEEP.encode(), "nope", '{"a": ' + "9" * 5_000 + "}"], ids=range(4))
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"nested too deeply|Expecting|Exceeds the limit"):
        loads(text)


def test_deep_lines_and_replies_are_plain_texts():
    assert Receiver.take(Receiver.__new__(Receiver), DEEP) is False
    assert error_of(Reply(500, {}, DEEP.encode())).message.startswith('{"a"')


def test_deep_files_are_no_json(tmp_path):
    for name in ("metrics.json", metadata.NAME, "metrics.jsonl", "adapter_config.json"):
        (tmp_path / name).write_text(DEEP)
    with pytest.raises(JobError, match="neither a JSON object nor JSON lines"):
        list(read_metrics(str(tmp_path / "metrics.json")))
    assert metadata.read(tmp_path) == {}
    assert list(local.read(tmp_path / "metrics.jsonl")) == []
    with pytest.raises(JobError, match="not the configuration of an adapter"):
        find_adapter(str(tmp_path))


def test_flatten():
    value = {"a": {"b": [1, (2, None)]}, 3: "x", "empty": {}, "none": []}
    assert dict(flatten(value)) == {"a.b.0": 1, "a.b.1.0": 2, "a.b.1.1": None, "3": "x"}
    assert dict(flatten(value, "top", keep_empty=True)) == {
        "top.a.b.0": 1,
        "top.a.b.1.0": 2,
        "top.a.b.1.1": None,
        "top.3": "x",
        "top.empty": {},
        "top.none": [],
    }
    assert dict(flatten(7)) == {"": 7}
    assert dict(flatten({}, keep_empty=True)) == {"": {}}


def test_fingerprints_do_not_change_with_versions():
    """They are stored beside models and completions, which would be computed again if they changed."""
    assert fingerprint({"a": 1, "b": [None, "ä"]}) == fingerprint({"b": [None, "ä"], "a": 1})
    assert fingerprint({"a": 1, "b": [None, "ä"]}) != fingerprint({"a": 1, "b": [None, "a"]})
    assert fingerprint({"a": 1}) == "8f1c29f50aa952dbd475f930065b4b4f"
