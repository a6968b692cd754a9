"""What names the work directory, and what does not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from data_juicer_sandbox.engine.portable_paths import NotPortable, PortablePaths
from data_juicer_sandbox.errors import SandboxError


@pytest.fixture(autouse=True)
def work_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out/a").mkdir(parents=True)
    Path("out/a/x.jsonl").write_text("{}\n")


def moved(value, to="/b/new"):
    return PortablePaths(Path(to)).restored(PortablePaths(Path("out")).of_value(value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out/a/x.jsonl", "/b/new/a/x.jsonl"),
        ("./out/a/x.jsonl", "/b/new/a/x.jsonl"),
        ("{cwd}/out/a", "/b/new/a"),
        ("file://{cwd}/out/a/x.jsonl", "file:///b/new/a/x.jsonl"),
        ("wrote out/a/x.jsonl.", "wrote /b/new/a/x.jsonl."),
        ("out/a and out/a/x.jsonl", "/b/new/a and /b/new/a/x.jsonl"),
        ("in/out/a", "in/out/a"),
        ("outer/a", "outer/a"),
        ("about/a", "about/a"),
        ("out", "out"),
    ],
)
def test_texts(text, expected):
    text = text.format(cwd=Path.cwd())
    assert moved(text) == expected
    assert moved({text: [(text, 1)]}) == {expected: [(expected, 1)]}


def test_the_spelling_stays():
    assert moved("out/a", "new/dir") == "new/dir/a"
    assert moved("./out/a", "new/dir") == "./new/dir/a"
    assert moved(f"{Path.cwd()}/out/a", "new/dir") == f"{Path.cwd()}/new/dir/a"


def test_a_path_that_does_not_exist_cannot_be_judged():
    with pytest.raises(NotPortable, match="out/later"):
        moved("out/later.jsonl")
    with pytest.raises(NotPortable, match="a table"):
        moved([b"\x00out/a/x.jsonl"])


def test_rows_may_look_like_paths_by_chance():
    paths = PortablePaths(Path("out"))
    rows = Path("rows.jsonl")
    rows.write_text('{"text": "put out/in the box"}\n')
    assert paths.of_file(rows) is None
    rows.write_text('{"image": "out/a/x.jsonl"}\n')
    assert PortablePaths(Path("new")).restored(paths.of_file(rows)) == '{"image": "new/a/x.jsonl"}\n'
    rows.write_text('{"image": "out/a/gone.png"}\n')
    with pytest.raises(NotPortable, match=r"out/a/gone.png, which does not exist"):
        paths.of_file(rows)


def test_files_in_which_paths_cannot_be_replaced():
    paths = PortablePaths(Path("out"))
    row = json.dumps({"image": "out/a/x.jsonl"}) + "\n"
    packed = Path("rows.jsonl.gz")
    packed.write_bytes(gzip.compress(row.encode()))
    with pytest.raises(NotPortable, match="compressed"):
        paths.of_file(packed)
    packed.write_bytes(gzip.compress(b'{"text": "put out/in the box"}\n'))
    assert paths.of_file(packed) is None
    packed.write_bytes(b"no gzip")
    with pytest.raises((SandboxError, OSError)):
        paths.of_file(packed)
    binary = Path("model.bin")
    binary.write_bytes(b"\xff out/a/x.jsonl \xff")
    with pytest.raises(NotPortable, match="binary"):
        paths.of_file(binary)
    binary.write_bytes(b"\xff out/z \xff")
    assert paths.of_file(binary) is None


def test_the_key_is_the_same_for_every_spelling():
    spellings = ["out/a", "./out/a", f"{Path.cwd()}/out/a"]
    assert {PortablePaths(Path("out")).key_of(text) for text in spellings} == {"\0work_dir\0/a"}
    assert PortablePaths(Path("/b/new")).key_of("/b/new/a") == "\0work_dir\0/a"
    assert PortablePaths(Path("/b/new")).key_of("out/a") == "out/a"
