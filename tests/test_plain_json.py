"""JSON that is nested too deeply is what every reader takes for no JSON."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.components.command import read_metrics
from data_juicer_sandbox.components.infer.local.adapters import find_adapter
from data_juicer_sandbox.components.infer.remote.reply import Reply, error_of
from data_juicer_sandbox.components.lm import metadata
from data_juicer_sandbox.components.train.worker_protocol import Receiver
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.watchers import local

DEEP = '{"a": ' + "[" * 50_000


@pytest.mark.parametrize("text", [DEEP, DEEP.encode(), "nope", '{"a": ' + "9" * 5_000 + "}"], ids=range(4))
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"nested too deeply|Expecting|Exceeds the limit"):
        loads(text)


def test_deep_lines_and_replies_are_plain_texts():
    assert Receiver.take(Receiver.__new__(Receiver), DEEP) is False
    assert error_of(Reply(500, {}, DEEP.encode()))[0].startswith('{"a"')


def test_deep_files_are_no_json(tmp_path):
    for name in ("metrics.json", metadata.NAME, "metrics.jsonl", "adapter_config.json"):
        (tmp_path / name).write_text(DEEP)
    with pytest.raises(JobError, match="neither a JSON object nor JSON lines"):
        list(read_metrics(str(tmp_path / "metrics.json")))
    assert metadata.read(tmp_path) == {}
    assert list(local.read(tmp_path / "metrics.jsonl")) == []
    with pytest.raises(JobError, match="not the configuration of an adapter"):
        find_adapter(str(tmp_path))
