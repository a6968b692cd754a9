from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.convert.coco_meta import CocoCaptionMeta
from data_juicer_sandbox.errors import ConfigError, JobError


def load(path):
    text = Path(path).read_text(encoding="utf-8")
    assert text.endswith("\n}\n")
    return json.loads(text)


@pytest.fixture
def coco(jsonl, captioned, tmp_path):
    """Data sets of so many rows, with the images."""

    def make(name, size):
        path = jsonl(name, [captioned(f"{number}.jpg") for number in range(size)])
        Path(path).with_name("0.jpg").touch()
        return path

    return make


def test_one_file_for_each_data_set(job, quiet, coco, tmp_path, monkeypatch, warnings):
    coco("set/käfer_train.jsonl", 7)
    coco("set/val.jsonl", 3)
    monkeypatch.chdir(tmp_path)
    paths = CocoCaptionMeta(["set/käfer_train.jsonl", "set/val.jsonl"], "out").run(job)
    assert paths == ["out/käfer_train_meta.json", "out/val_meta.json"]
    for path, (name, length) in zip(paths, {"käfer_train": 7, "val": 3}.items(), strict=True):
        assert load(path) == {
            name: {
                "root": f"{tmp_path}/set",
                "annotation": f"{tmp_path}/set/{name}.jsonl",
                "data_augment": False,
                "repeat_time": 1,
                "length": length,
            }
        }
    assert [values for _, values in quiet.values] == [
        {"käfer_train": {"rows": 7, "bad_rows": 0}},
        {"val": {"rows": 3, "bad_rows": 0}},
    ]
    assert warnings == []


@pytest.mark.parametrize(
    ("names", "file"),
    [
        (["coco_train_a.jsonl", "coco_train_b.jsonl"], "coco_train_meta.json"),
        (["coco-1.jsonl", "coco-2.jsonl"], "coco_meta.json"),
        (["x.jsonl", "y.jsonl"], "data_meta.json"),
        (["only.jsonl"], "only_meta.json"),
        (["x/train.jsonl", "y/train.jsonl"], "train_meta.json"),
    ],
)
def test_one_file_for_all_is_named_by_what_they_share(names, file, job, coco, tmp_path):
    paths = [coco(name, 2) for name in names]
    assert CocoCaptionMeta(paths, str(tmp_path / "out"), together=True).run(job) == [str(tmp_path / "out" / file)]
    meta = load(tmp_path / "out" / file)
    assert [entry["annotation"] for entry in meta.values()] == paths
    assert len(meta) == len(names)


def test_settings_and_a_file_of_ones_own(job, coco, tmp_path):
    paths = [coco("a.jsonl", 2), coco("b.jsonl", 2)]
    given = {"image_root": "s3://photos/", "data_augment": True, "repeat_time": 0.5}
    target = str(tmp_path / "new.json")
    assert CocoCaptionMeta(paths, target, together=True, **given).run(job) == [target]
    assert load(target)["b"] == {
        "root": "s3://photos/",
        "annotation": paths[1],
        "data_augment": True,
        "repeat_time": 0.5,
        "length": 2,
    }
    with pytest.raises(ConfigError, match="is one file, but there are 2 data sets"):
        CocoCaptionMeta(paths, target)
    for other in ("new.jsonl", "new.json.gz"):
        with pytest.raises(ConfigError, match=r"neither a folder nor a \.json file"):
            CocoCaptionMeta(paths[0], other)


def test_rows_are_counted_as_internvl_needs_them(job, raw, jsonl, captioned, tmp_path, warnings):
    row = json.dumps(captioned("0.jpg")).encode()
    path = raw("a.jsonl", b"\xef\xbb\xbf" + row + b"\r\n\n" + row + b'\n{"image": "x.jpg"}\n' + row)
    with pytest.raises(JobError, match=r"a.jsonl:4: bad row: `conversations` is not a list"):
        CocoCaptionMeta(path, str(tmp_path / "out")).run(job)
    assert list((tmp_path / "out").iterdir()) == []
    (out,) = CocoCaptionMeta(path, str(tmp_path / "out"), skip_bad_rows=1).run(job)
    assert load(out)["a"]["length"] == 3
    assert "1 of 4 rows" in warnings[-1]
    with pytest.raises(JobError, match="no rows in"):
        CocoCaptionMeta(jsonl("none.jsonl", []), str(tmp_path / "out")).run(job)


def test_a_root_without_the_first_image_is_told_of(job, coco, tmp_path, warnings):
    path = coco("set/a.jsonl", 3)
    CocoCaptionMeta(path, str(tmp_path / "out"), image_root=str(tmp_path / "set")).run(job)
    assert warnings == []
    CocoCaptionMeta(path, str(tmp_path / "out"), image_root=str(tmp_path)).run(job)
    (said,) = warnings
    assert said.strip() == f"no image at {tmp_path}/0.jpg, the path in the first row of {path}"


def test_what_internvl_cannot_read_is_refused(job, coco, tmp_path):
    for path in ("a.jsonl.gz", "a.json", "a.parquet", "folder"):
        with pytest.raises(ConfigError, match=r"InternVL reads \.jsonl files only"):
            CocoCaptionMeta([coco("a.jsonl", 1), path], str(tmp_path))
    for path in (tmp_path / "shards.jsonl", tmp_path / "shards.jsonl" / "*.jsonl"):
        coco("shards.jsonl/a.jsonl", 1)
        with pytest.raises(JobError, match=r"reads single files only, but .* is not a file"):
            CocoCaptionMeta(str(path), str(tmp_path / "out")).run(job)
    assert list((tmp_path / "out").iterdir()) == []
