from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.components.convert.easyanimate import DJToEasyAnimate
from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.errors import ConfigError, JobError


def test_an_entry_for_every_video_byte_for_byte(job, quiet, jsonl, tmp_path):
    rows = [
        {"videos": ["a.mp4"], "text": "<__dj__video> Ein Käfer läuft. <|__dj__eoc|>\n", "meta": {"n": 1}},
        {"videos": ["/v/b.mp4", "c.mp4"], "text": '<__dj__video><__dj__video>\t"甲虫"'},
        {"videos": ["d.mp4"], "text": "one<|__dj__eoc|>two <__dj__audio> three\n\nfour <__dj__image>"},
    ]
    (out,) = DJToEasyAnimate(jsonl("clips.jsonl", rows), str(tmp_path / "out")).run(job)
    assert out == str(tmp_path / "out/clips_ea_fmt.json")
    lines = [
        "[",
        '{"file_path": "a.mp4", "text": "Ein Käfer läuft.", "type": "video"},',
        '{"file_path": "/v/b.mp4", "text": "\\"甲虫\\"", "type": "video"},',
        '{"file_path": "c.mp4", "text": "\\"甲虫\\"", "type": "video"},',
        '{"file_path": "d.mp4", "text": "one two three\\n\\nfour", "type": "video"}',
        "]",
    ]
    assert Path(out).read_bytes() == ("\n".join(lines) + "\n").encode()
    assert quiet.values == [(None, {"clips": {"rows": 3, "bad_rows": 0}})]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "x"}, "`videos` is not a non-empty list of paths"),
        ({"videos": [], "text": "x"}, "`videos` is not a non-empty list of paths"),
        ({"videos": "a.mp4", "text": "x"}, "`videos` is not a non-empty list of paths"),
        ({"videos": ["a.mp4", ""], "text": "x"}, "`videos` is not a non-empty list of paths"),
        ({"videos": ["a.mp4"]}, "`text` is not a string"),
        ({"videos": ["a.mp4"], "text": None}, "`text` is not a string"),
        ({"videos": ["a.mp4"], "text": " <__dj__video> <|__dj__eoc|>\n"}, "`text` contains only special tokens"),
        ("nonsense", "not a JSON row"),
    ],
)
def test_bad_rows(row, reason, job, jsonl, tmp_path, warnings):
    good = {"videos": ["g.mp4"], "text": "good"}
    path = jsonl("a.jsonl", [row, good, row])
    with pytest.raises(JobError, match=f"a.jsonl:1: bad row: {reason}"):
        DJToEasyAnimate(path, str(tmp_path / "out")).run(job)
    with pytest.raises(JobError, match=f"a.jsonl:3: bad row: {reason}.*skip_bad_rows: 1 is exceeded"):
        DJToEasyAnimate(path, str(tmp_path / "out"), skip_bad_rows=1).run(job)
    assert list((tmp_path / "out").iterdir()) == []
    (out,) = DJToEasyAnimate(path, str(tmp_path / "out"), skip_bad_rows=2).run(job)
    assert [entry["file_path"] for entry in json.loads(Path(out).read_bytes())] == ["g.mp4"]
    assert "a.jsonl:1: " in warnings[0]
    assert "a.jsonl:3: " in warnings[0]


def test_an_empty_list_is_never_written(job, jsonl, tmp_path):
    earlier = tmp_path / "list.json"
    earlier.write_text("[1]")
    with pytest.raises(JobError, match="no rows in"):
        DJToEasyAnimate(jsonl("a.jsonl", []), str(earlier)).run(job)
    assert earlier.read_text() == "[1]"
    with pytest.raises(JobError, match="all 1 rows are bad"):
        DJToEasyAnimate(jsonl("b.jsonl", [{}]), str(earlier), skip_bad_rows=5).run(job)
    assert sorted(path.name for path in tmp_path.glob("*list*")) == ["list.json"]


def test_root_keys_and_tokens_of_ones_own(job, jsonl, tmp_path):
    row = {"clips": ["a.mp4", "/b.mp4"], "words": "<v> x <v>2 <__dj__video>"}
    keys = {"videos_key": "clips", "text_key": "words", "special_tokens": ["<v>", "<v>2"]}
    target = str(tmp_path / "list.json")
    assert DJToEasyAnimate(jsonl("a.jsonl", [row]), target, video_root="/v", **keys).run(job) == [target]
    found = json.loads(Path(target).read_bytes())
    assert [(entry["file_path"], entry["text"]) for entry in found] == [
        ("/v/a.mp4", "x <__dj__video>"),
        ("/b.mp4", "x <__dj__video>"),
    ]
    (out,) = DJToEasyAnimate(jsonl("b.jsonl", [row]), str(tmp_path), **{**keys, "special_tokens": []}).run(job)
    assert json.loads(Path(out).read_bytes())[0]["text"] == row["words"]
    with pytest.raises(ConfigError, match=r"neither a folder nor a \.json file"):
        DJToEasyAnimate("a.jsonl", "list.jsonl")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.text(min_size=1).filter(lambda path: "\0" not in path), min_size=1, max_size=3),
            st.text().filter(lambda text: text.strip() and "__dj__" not in text),
        ),
        min_size=1,
    )
)
def test_whatever_stands_in_the_rows_the_list_is_json(rows, job, tmp_path):
    path = tmp_path / "in.jsonl"
    write_rows(path, ({"videos": videos, "text": f"<__dj__video> {text}"} for videos, text in rows))
    (out,) = DJToEasyAnimate(str(path), str(tmp_path / "out")).run(job)
    assert json.loads(Path(out).read_bytes()) == [
        {"file_path": video, "text": text.strip(), "type": "video"} for videos, text in rows for video in videos
    ]
