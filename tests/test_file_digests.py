"""Digests of files and folders, and when a file is read again."""

import time

from data_juicer_sandbox import file_digests
from data_juicer_sandbox.file_digests import content_stamp, digest
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


def slow_digest(path):
    time.sleep(0.6)
    return digest(path)


def test_a_file_that_was_read_right_after_its_last_change_is_read_again(tmp_path, monkeypatch):
    """Another write within the same tick of the clock leaves the same times; how long reading takes does not matter."""
    monkeypatch.setattr(file_digests, "TICK", 500_000_000)
    monkeypatch.setattr(file_digests, "digest", slow_digest)
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
    monkeypatch.setattr(file_digests, "digest", lambda path: read.append(path) or digest(path))
    path = tmp_path / "x.txt"
    path.write_text("text")
    time.sleep(0.05)
    assert content_stamp(path) == content_stamp(path)
    assert read == [path]
    path.write_text("else")
    assert content_stamp(path)[1] == digest(path)
    assert len(read) == 2
