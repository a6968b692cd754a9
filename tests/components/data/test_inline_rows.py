from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.data.inline_rows import InlineRows
from data_juicer_sandbox.errors import ConfigError


def test_rows_are_written_as_they_stand(job, tmp_path):
    path = str(tmp_path / "new" / "rows.jsonl")
    assert InlineRows([{"a": 1, "b": {"c": "ü"}}, {}], path).run(job) == path
    assert Path(path).read_text().splitlines() == ['{"a": 1, "b": {"c": "ü"}}', "{}"]


def test_plain_values_become_rows(job, tmp_path):
    path = InlineRows(["one", 2, ["three"]], str(tmp_path / "rows.jsonl"), key="prompt").run(job)
    assert [json.loads(line) for line in Path(path).read_text().splitlines()] == [
        {"prompt": "one"},
        {"prompt": 2},
        {"prompt": ["three"]},
    ]


def test_what_is_no_row_is_told_before_the_run(tmp_path):
    with pytest.raises(ConfigError, match=r"rows\.1 is 'two', not a mapping .*key"):
        InlineRows([{}, "two"], str(tmp_path / "rows.jsonl"))
    with pytest.raises(ConfigError, match="rows is empty"):
        InlineRows([], str(tmp_path / "rows.jsonl"))
    with pytest.raises(ConfigError, match=r"not a \.jsonl file"):
        InlineRows([{}], str(tmp_path / "rows"))


def test_a_date_is_refused_before_the_run(tmp_path):
    import datetime

    with pytest.raises(ConfigError, match=r"rows\.1 cannot be written as JSON: .*date.*written in quotes"):
        InlineRows([{"a": 1}, {"when": datetime.date(2024, 5, 6)}], str(tmp_path / "rows.jsonl"))
    with pytest.raises(ConfigError, match=r"rows\.0 cannot be written"):
        InlineRows([datetime.date(2024, 5, 6)], str(tmp_path / "rows.jsonl"), key="when")
