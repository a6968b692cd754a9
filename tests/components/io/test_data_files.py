from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.components.io.data_files import ENDINGS, data_files, file_format, is_data
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import is_pattern


@pytest.fixture
def tree(tmp_path):
    def lay(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"{}\n")
        return tmp_path

    return lay


def names(path, root):
    return [str(file.relative_to(root)) for file in data_files(path)]


def test_a_folder_is_all_data_sets_below_it_in_the_order_of_their_names(tree):
    root = tree("b.jsonl", "a/2.csv", "a/10.jsonl.gz", "c.parquet", "B.ndjson.zst", "a.json", "z/z/1.json.zst")
    wanted = ["B.ndjson.zst", "a/10.jsonl.gz", "a/2.csv", "a.json", "b.jsonl", "c.parquet", "z/z/1.json.zst"]
    assert names(root, root) == wanted
    assert names(str(root) + "/", root) == wanted


def test_what_is_hidden_unfinished_or_no_data_set_is_left_out(tree):
    hidden = (".hidden.jsonl", ".git/a.jsonl", "sub/.cache/a.jsonl", ".a.jsonl.part", ".a.jsonl.part12/x.jsonl")
    root = tree(*hidden, "a.jsonl", "a.jsonl.part", "a.jsonl.bak", "README.md", "a.parquet.gz", "_SUCCESS", "jsonl")
    assert names(root, root) == ["a.jsonl"]
    assert names(root / "*", root) == sorted(
        ["a.jsonl", "a.jsonl.part", "a.jsonl.bak", "README.md", "a.parquet.gz", "_SUCCESS", "jsonl"]
    )  # whoever writes a pattern says which files are meant


def test_a_folder_that_is_itself_hidden_may_be_named(tree):
    root = tree(".cache/a.jsonl", ".cache/.b.jsonl")
    assert names(root / ".cache", root) == [".cache/a.jsonl"]


def test_patterns(tree):
    root = tree("p-2.jsonl", "p-10.jsonl", "p-1.jsonl", "q.jsonl", "sub/p-3.jsonl", "sub/sub/p-4.jsonl", ".p-5.jsonl")
    (root / "p-folder.jsonl").mkdir()
    assert names(root / "p-*.jsonl", root) == ["p-1.jsonl", "p-10.jsonl", "p-2.jsonl"]
    assert names(root / "p-[12].jsonl", root) == ["p-1.jsonl", "p-2.jsonl"]
    assert names(root / "?.jsonl", root) == ["q.jsonl"]
    below = ["p-1.jsonl", "p-10.jsonl", "p-2.jsonl", "sub/p-3.jsonl", "sub/sub/p-4.jsonl"]
    assert names(root / "**/p-*.jsonl", root) == below


def test_patterns_relative_to_the_current_folder(tree, monkeypatch):
    monkeypatch.chdir(tree("d/a.jsonl", "d/b.jsonl"))
    assert data_files("d/*.jsonl") == [Path("d/a.jsonl"), Path("d/b.jsonl")]
    assert data_files("d") == [Path("d/a.jsonl"), Path("d/b.jsonl")]


@pytest.mark.parametrize("name", ["a[1].jsonl", "what?.jsonl", "*.jsonl", "[ab].jsonl"])
def test_a_name_that_is_there_is_no_pattern(tree, name):
    root = tree(name, "a.jsonl", "b.jsonl", "a1.jsonl")
    assert not is_pattern(str(root / name))
    assert names(root / name, root) == [name]


def test_a_folder_with_brackets_in_its_name(tree):
    root = tree("run[1]/a.jsonl", "run1/b.jsonl")
    assert names(root / "run[1]", root) == ["run[1]/a.jsonl"]


def test_nothing_there(tree):
    root = tree("other/README.md")
    with pytest.raises(JobError, match=r"no data set in the folder .*other.*files that end in \.jsonl"):
        data_files(root / "other")
    with pytest.raises(JobError, match=r"no file matches .*x-\*\.jsonl"):
        data_files(root / "x-*.jsonl")
    with pytest.raises(JobError, match=r"no data set at .*gone\.jsonl"):
        data_files(root / "gone.jsonl")
    assert not any(map(is_data, [str(root / "x-*.jsonl"), str(root / "gone.jsonl"), "x" * 5000]))
    assert all(map(is_data, [str(root / "other"), str(root / "o*")]))


def test_forms():
    assert {file_format(Path("a" + ending)) for ending in ENDINGS} == {"jsonl", "json", "parquet", "csv", "tsv"}
    forms = {
        "a.jsonl.gz": "jsonl",
        "a.ndjson.zst": "jsonl",
        "a.json.gz": "json",
        "x.csv.zst": "csv",
        "a.b.parquet": "parquet",
    }
    assert {name: file_format(Path(name)) for name in forms} == forms
    assert file_format(Path("a.txt")) == file_format(Path("noending")) == "jsonl"
