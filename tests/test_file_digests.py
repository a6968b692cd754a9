"""Digests of files and folders, and when a file is read again."""

import os
import random
import time
from pathlib import Path

import pytest
import xxhash

from data_juicer_sandbox import file_digests
from data_juicer_sandbox.file_digests import content_stamp, digest, scan, walk
from data_juicer_sandbox.files import temporary_path


def test_digests_see_names_and_bytes_and_no_temporary_files(tmp_path):
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "sub/b").write_text("2")
    first = digest(folder)
    temporary_path(folder / "a").write_text("half")
    assert digest(folder) == first
    (folder / "a").write_text("3")
    assert digest(folder) != first
    (folder / "a").write_text("1")
    assert digest(folder) == first
    (folder / "a").rename(folder / "c")
    assert digest(folder) != first


def slow_digest(path, files, read=file_digests.digest_of_files):
    time.sleep(0.6)
    return read(path, files)


def test_a_file_that_was_read_right_after_its_last_change_is_read_again(tmp_path, monkeypatch):
    """Another write within the same tick of the clock leaves the same times; how long reading takes does not matter."""
    monkeypatch.setattr(file_digests, "TICK", 500_000_000)
    monkeypatch.setattr(file_digests, "digest_of_files", slow_digest)
    path = tmp_path / "x.txt"
    path.write_text("text")
    key, content = content_stamp(path)
    assert key == ""
    assert content == digest(path)
    assert content_stamp(path) == (file_digests.quick_key(path), content)  # by now the last change is long ago


def test_a_large_file_that_was_just_written_gets_its_key_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(file_digests, "SLOW_TO_READ", 4)
    path = tmp_path / "x.txt"
    path.write_text("text")
    assert content_stamp(path) == (file_digests.quick_key(path), digest(path))


def test_a_file_is_read_once_as_long_as_it_stays(tmp_path, monkeypatch):
    read = []
    whole = file_digests.digest_of_files
    monkeypatch.setattr(file_digests, "digest_of_files", lambda path, files: read.append(path) or whole(path, files))
    path = tmp_path / "x.txt"
    path.write_text("text")
    time.sleep(0.05)
    assert content_stamp(path) == content_stamp(path)
    assert read == [path]
    path.write_text("else")
    assert content_stamp(path)[1] == whole(path, scan(path))
    assert len(read) == 2


def by_hand(folder):
    """The digest of a folder: depth first, names in order, each name and the bytes of its file."""
    state = xxhash.xxh3_128()

    def add(path):
        for child in sorted(path.iterdir()):
            if child.is_dir():
                add(child)
            else:
                state.update(os.fsencode(child.relative_to(folder)) + b"\0" + child.read_bytes())

    add(folder)
    return state.hexdigest()


@pytest.mark.parametrize("count", [3, 300])
def test_a_folder_of_many_files_is_read_in_order(tmp_path, count):
    """Few files are read one by one, many in threads; some are too large to be held in memory."""
    rng = random.Random(count)
    for number in range(count):
        path = tmp_path / rng.choice(["", "a", "a/b", "a-b", "ä", "Z"]) / f"{number}é"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.choice([0, 1, 1000, 70_000, 1 << 20] if number < 20 else [0, 1, 1000])))
    assert digest(tmp_path) == by_hand(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [Path(file.path) for file in scan(tmp_path)] == list(walk(tmp_path))
    assert sorted(walk(tmp_path)) == sorted(files)
    before = content_stamp(tmp_path)
    rng.choice(files).write_bytes(b"other")
    assert content_stamp(tmp_path)[1] != before[1]


def test_a_file_that_grows_while_its_folder_is_read_is_read_to_its_end(tmp_path, monkeypatch):
    for number in range(100):
        (tmp_path / f"{number:03}").write_bytes(b"x")
    files = scan(tmp_path)
    (tmp_path / "099").write_bytes(b"x" * 100_000)
    monkeypatch.setattr(file_digests, "scan", lambda path: files)
    assert digest(tmp_path) == by_hand(tmp_path)


def test_links_in_circles_pipes_and_broken_links_are_no_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_text("x")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "link").symlink_to(tmp_path / "a/file")
    os.mkfifo(tmp_path / "pipe")
    assert [file.name for file in scan(tmp_path)] == ["a/file", "link"]
