from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.components.convert.coco_caption import CocoCaptionToDJ
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.io.edit_fields import append_fields
from data_juicer_sandbox.errors import ConfigError, JobError

SAID = b'"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": '
WEIRD = (
    b'{"id": 1.00, "image": "a.jpg", ' + SAID + 'Käfer 甲虫"}], "x": 1e400}\n'.replace("K", '"K', 1).encode(),
    b'{"image":"b.jpg",' + SAID + b'"caf\\u00e9 \\ud83d\\ude00 \\/"}],"meta":{"n":[{"a":-0.0},NaN]}}\r\n',
    b'  { "meta" : {"k": null},  "image" : "c\\\\d.jpg", ' + SAID + b'"two\\nlines" } ]  }\t\n',
    b"\n",
    b'{"big": 123456789012345678901234567890, "image": ["d.jpg", "e.jpg"], ' + SAID + b'"pair"}]}',
)
ADDED = (
    ', "images": ["a.jpg"], "text": "<__dj__image> Käfer 甲虫"}\n'.encode(),
    ', "images": ["b.jpg"], "text": "<__dj__image> café 😀 /"}\r\n'.encode(),
    b', "images": ["c\\\\d.jpg"], "text": "<__dj__image> two\\nlines"}\t\n',
    b"",
    b', "images": ["d.jpg", "e.jpg"], "text": "<__dj__image> <__dj__image> pair"}\n',
)


def test_fields_are_added_and_nothing_else_is_touched(job, quiet, raw, tmp_path):
    path = raw("coco.jsonl", b"".join(WEIRD))
    assert CocoCaptionToDJ(path, str(tmp_path / "out")).run(job) == [str(tmp_path / "out/coco_dj_fmt.jsonl")]
    expected = [line.rstrip()[:-1] + added for line, added in zip(WEIRD, ADDED, strict=True)]
    assert (tmp_path / "out/coco_dj_fmt.jsonl").read_bytes() == b"".join(expected)
    assert quiet.values == [(None, {"coco": {"rows": 4, "bad_rows": 0}})]


def test_the_answer_is_what_the_model_says_first(job, jsonl, tmp_path):
    def said(*pairs):
        return [{"from": who, "value": value} for who, value in pairs]

    talks = [
        said(("human", "?"), ("gpt", "one"), ("gpt", "no")),
        said(("system", "s"), ("human", "?"), ("assistant", "two")),
        said(("user", "?"), ("bot", "three")),
        [*said(("human", "?")), {"value": ""}],
    ]
    path = jsonl("a.jsonl", [{"image": "i", "conversations": talk} for talk in talks])
    (out,) = CocoCaptionToDJ(path, str(tmp_path / "out")).run(job)
    texts = [row["text"] for row in read_rows(out)]
    assert texts == [f"<__dj__image> {answer}" for answer in ("one", "two", "three", "")]


BAD = {
    "not JSON": (b'{"image": "a"', "not a JSON row"),
    "a list": (b'["a"]', "a row is a JSON object, not a list"),
    "no image": (b"{" + SAID + b'"x"}]}', "missing field `image`"),
    "no path": (b'{"image": 5, ' + SAID + b'"x"}]}', "`image` must be a path or a list of paths"),
    "empty list": (b'{"image": [], ' + SAID + b'"x"}]}', "`image` must be a path or a list of paths"),
    "null in list": (b'{"image": ["a", null], ' + SAID + b'"x"}]}', "`image` must be a path or a list of paths"),
    "no talk": (b'{"image": "a"}', "missing field `conversations`"),
    "talk is text": (b'{"image": "a", "conversations": "x"}', "`conversations` is not a list"),
    "question only": (b'{"image": "a", "conversations": [{"from": "human", "value": "?"}]}', "has no answer"),
    "answer is null": (b'{"image": "a", ' + SAID + b"null}]}", "has no answer"),
    "images there": (b'{"image": "a", "images": [], ' + SAID + b'"x"}]}', "the field `images` already exists"),
    "text there": (b'{"image": "a", "text": "", ' + SAID + b'"x"}]}', "the field `text` already exists"),
    "token there": (b'{"image": "a", ' + SAID + b'"<__dj__image> x"}]}', "contains the image token <__dj__image>"),
    "too deep": (b'{"image": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "no UTF-8": (b'{"image": "\xff", ' + SAID + b'"x"}]}', "not a JSON row"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_fails_the_job_or_is_left_out(case, job, quiet, raw, tmp_path, warnings):
    line, reason = BAD[case]
    good = b'{"image": "g", ' + SAID + b'"good"}]}\n'
    path = raw("a.jsonl", good + b"\n" + line + b"\n" + good)
    with pytest.raises(JobError, match=reason) as caught:
        CocoCaptionToDJ(path, str(tmp_path / "out")).run(job)
    assert str(caught.value).startswith(f"{path}:3: bad row: ")
    assert list((tmp_path / "out").iterdir()) == []
    (out,) = CocoCaptionToDJ(path, str(tmp_path / "out"), skip_bad_rows=1).run(job)
    assert [row["text"] for row in read_rows(out)] == ["<__dj__image> good"] * 2
    assert quiet.values[-1][1] == {"a": {"rows": 2, "bad_rows": 1}}
    (said,) = warnings
    assert said.startswith(f"1 of 3 rows of {path} are bad and skipped: a.jsonl:3: ")
    assert reason in said


def test_the_allowance_is_that_of_all_data_sets_together(job, jsonl, captioned, tmp_path):
    paths = [jsonl(f"{name}.jsonl", [captioned("g.jpg"), "{", "{"]) for name in "ab"]
    with pytest.raises(JobError, match=r"b.jsonl:3: bad row: .*skip_bad_rows: 3 is exceeded"):
        CocoCaptionToDJ(paths, str(tmp_path / "out"), skip_bad_rows=3).run(job)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_dj_fmt.jsonl"]
    assert len(CocoCaptionToDJ(paths, str(tmp_path / "out"), skip_bad_rows=4).run(job)) == 2


def test_nothing_good_is_an_error(job, jsonl, tmp_path):
    with pytest.raises(JobError, match="no rows in"):
        CocoCaptionToDJ(jsonl("a.jsonl", []), str(tmp_path / "out")).run(job)
    with pytest.raises(JobError, match=r"all 2 rows are bad in .*missing field `image`"):
        CocoCaptionToDJ(jsonl("b.jsonl", [{}, {}]), str(tmp_path / "out"), skip_bad_rows=9).run(job)
    assert list((tmp_path / "out").iterdir()) == []


def test_image_root_joins_relative_paths_only(job, jsonl, captioned, tmp_path, monkeypatch):
    images = ["a.jpg", "x/b.jpg", "/c.jpg", "s3://bucket/d.jpg"]
    path = jsonl("a.jsonl", [captioned(images)])

    def run(root):
        (out,) = CocoCaptionToDJ(path, str(tmp_path / "out"), image_root=root).run(job)
        (row,) = read_rows(out)
        assert row["image"] == images
        return row["images"]

    monkeypatch.chdir(tmp_path)
    assert run(None) == images
    assert run("/pictures/") == ["/pictures/a.jpg", "/pictures/x/b.jpg", *images[2:]]
    assert run("photos")[0] == f"{tmp_path}/photos/a.jpg"
    assert run("s3://other")[1] == "s3://other/x/b.jpg"


def test_other_fields_and_another_token(job, jsonl, tmp_path):
    row = {"file": "a.jpg", "talk": [{"value": "?"}, {"value": "x"}], "images": 1, "text": 2}
    keys = {"image_key": "file", "conversations_key": "talk", "images_key": "pics", "text_key": "words"}
    component = CocoCaptionToDJ(jsonl("a.jsonl", [row]), str(tmp_path / "new.jsonl"), **keys, image_token="<i>")
    assert component.run(job) == [str(tmp_path / "new.jsonl")]
    assert list(read_rows(tmp_path / "new.jsonl")) == [{**row, "pics": ["a.jpg"], "words": "<i> x"}]


def test_other_formats_come_out_as_lines(job, raw, captioned, tmp_path):
    rows = [captioned("a.jpg"), captioned("b.jpg", "é", meta={"n": 1.5})]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    paths = [
        raw("one.jsonl.gz", gzip.compress(lines)),
        raw("two.json", json.dumps(rows, indent=2).encode()),
        str(Path(raw("three/part-0.jsonl", lines)).parent),
    ]
    outs = CocoCaptionToDJ(paths, str(tmp_path / "out")).run(job)
    assert [Path(out).name for out in outs] == [f"{name}_dj_fmt.jsonl" for name in ("one", "two", "three")]
    captions = ("A red kite.", "é")
    added = [
        {**row, "images": [row["image"]], "text": f"<__dj__image> {text}"}
        for row, text in zip(rows, captions, strict=True)
    ]
    assert [list(read_rows(out)) for out in outs] == [added] * 3
    assert all(Path(out).read_bytes().count(b"\n") == 2 for out in outs)


def test_missing_data_sets(job, jsonl, captioned, tmp_path, warnings):
    paths = [jsonl("a.jsonl", [captioned("a.jpg")]), "gone.jsonl", "gone/*.jsonl"]
    with pytest.raises(JobError, match=r"no data set at gone.jsonl, gone/\*.jsonl"):
        CocoCaptionToDJ(paths, str(tmp_path / "out")).run(job)
    assert CocoCaptionToDJ(paths, str(tmp_path / "out"), skip_missing=True).run(job) == [
        str(tmp_path / "out/a_dj_fmt.jsonl")
    ]
    assert [said.strip() for said in warnings] == [f"no data set at {path}: skipped" for path in paths[1:]]
    with pytest.raises(JobError, match="none of these data sets exist: gone"):
        CocoCaptionToDJ(paths[1:], str(tmp_path / "out"), skip_missing=True).run(job)


def test_where_the_new_file_goes(job, jsonl, captioned, tmp_path):
    path = jsonl("a_dj_fmt.jsonl", [captioned("a.jpg")])
    before = Path(path).read_bytes()
    with pytest.raises(ConfigError, match="is one file, but there are 2 data sets"):
        CocoCaptionToDJ([path, path], str(tmp_path / "new.jsonl"))
    with pytest.raises(ConfigError, match=r"neither a folder nor a \.jsonl file"):
        CocoCaptionToDJ(path, str(tmp_path / "new.parquet"))
    for dataset, export in ((path, path), (str(tmp_path), path), (str(tmp_path), str(tmp_path / "out"))):
        with pytest.raises(JobError, match=r"_dj_fmt\.jsonl would be part of the data set"):
            CocoCaptionToDJ(dataset, export).run(job)
    assert Path(path).read_bytes() == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BLANKS = st.sampled_from(["", " ", "\t", "  "])


@given(
    row=st.dictionaries(st.text(), JSON, max_size=4),
    new=st.dictionaries(st.sampled_from(["images", "text"]), JSON, min_size=1),
    escaped=st.booleans(),
    separators=st.tuples(st.sampled_from([",", ", ", " ,  "]), st.sampled_from([":", ": "])),
    around=st.tuples(BLANKS, BLANKS, BLANKS, st.sampled_from(["\n", "\r\n", ""])),
)
def test_a_spliced_line_is_the_row_and_the_fields(row, new, escaped, separators, around):
    row = {key: value for key, value in row.items() if key not in new}
    before, inside, after, end = around
    text = json.dumps(row, ensure_ascii=escaped, separators=separators)
    line = f"{before}{text[:-1]}{inside}}}{after}{end}".encode("utf-8", "surrogatepass")
    made = append_fields(line, new)
    # repr: NaN is equal to nothing
    assert repr(json.loads(made)) == repr({**json.loads(line), **new})
    assert made.startswith(line.rstrip()[:-1])
    assert made.endswith(line[len(line.rstrip()) :] if end else b"\n")
    assert made.count(b"\n") == 1


def test_only_utf_8_is_spliced(job, raw, tmp_path):
    row = '{"image": "a.jpg", "conversations": [{}, {"value": "x"}]}'
    path = raw("a.jsonl", row.encode("utf-16-le"))
    with pytest.raises(JobError, match=r"a.jsonl:1: bad row: not a JSON row"):
        CocoCaptionToDJ(path, str(tmp_path / "out")).run(job)


def test_data_juicer_takes_the_rows_and_internvl_fields_survive(job, jsonl, captioned, tmp_path):
    from data_juicer_sandbox.components.data.executor import DataJuicerExecutor

    rows = [captioned(f"{size}.jpg", "ä" * size, meta={"size": size}) for size in range(1, 41)]
    (converted,) = CocoCaptionToDJ(jsonl("coco.jsonl", rows), str(tmp_path / "out"), image_root="/photos").run(job)
    recipe = {
        "dataset_path": converted,
        "export_path": str(tmp_path / "kept.jsonl"),
        "process": [{"text_length_filter": {"min_len": len("<__dj__image> ") + 31}}],
        "np": 1,
    }
    kept = list(read_rows(DataJuicerExecutor(recipe).run(job)))
    assert [row["meta"]["size"] for row in kept] == list(range(31, 41))
    assert [{key: row[key] for key in rows[0]} for row in kept] == rows[30:]
    assert [row["images"] for row in kept] == [[f"/photos/{size}.jpg"] for size in range(31, 41)]
    assert kept[0]["text"] == "<__dj__image> " + "ä" * 31
