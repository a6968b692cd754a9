from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.data.unfold import UnfoldLists
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import ConfigError, JobError


def test_a_row_for_each_entry_with_what_is_kept_of_the_old_one(job, quiet, jsonl, tmp_path):
    path = jsonl(
        "d.jsonl",
        [
            {"id": 1, "meta": {"topic": "x"}, "out": {"said": ["a", " ", None, "b"]}},
            {"id": 2, "out": {"said": None}},
            {"id": 3, "out": {"said": "c"}},
            {"id": 4, "out": {"said": []}},
            {"id": 5},
        ],
    )
    found = UnfoldLists(path, str(tmp_path / "new.jsonl"), "out.said", "prompt", ["id", "meta.topic"]).run(job)
    assert [json.loads(line) for line in Path(found).read_text().splitlines()] == [
        {"id": 1, "topic": "x", "prompt": "a"},
        {"id": 1, "topic": "x", "prompt": "b"},
        {"id": 3, "prompt": "c"},
    ]
    assert quiet.query("a_job") == {"rows": 5, "entries": 3, "left_out": 5}


def test_where_there_is_nothing_to_unfold_no_file_is_left(job, jsonl, tmp_path):
    new = tmp_path / "new.jsonl"
    with pytest.raises(JobError, match=r"no row of .* has an entry under 'response'"):
        UnfoldLists(jsonl("d.jsonl", [{"response": None}, {"response": [""]}]), str(new)).run(job)
    with pytest.raises(JobError, match="has no rows"):
        UnfoldLists(jsonl("e.jsonl", []), str(new)).run(job)
    assert not new.exists()


def test_a_name_cannot_stand_for_two_values(tmp_path):
    with pytest.raises(ConfigError, match="'id' is among keep_keys"):
        UnfoldLists("d.jsonl", str(tmp_path / "new.jsonl"), entry_key="id", keep_keys=["meta.id"])


def test_bad_rows_are_skipped_as_many_as_are_allowed(job, jsonl, tmp_path):
    path = jsonl("rows.jsonl", ['{"response": ["a"]}', "nope", '{"response": ["b"]}'])
    with pytest.raises(JobError, match=r"rows\.jsonl:2: not a JSON row"):
        UnfoldLists(path, str(tmp_path / "out.jsonl")).run(job)
    unfolded = UnfoldLists(path, str(tmp_path / "out.jsonl"), skip_bad_rows=1).run(job)
    assert [row["text"] for row in read_rows(unfolded)] == ["a", "b"]
