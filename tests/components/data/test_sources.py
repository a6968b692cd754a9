"""Which data sets the sandbox reads itself, and what it says of files that it leaves out."""

from __future__ import annotations

from data_juicer_sandbox.components.data.sources import local_data


def test_files_of_a_folder_that_are_no_tables_are_named(tmp_path, log):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    assert local_data({"dataset_path": str(tmp_path)}).paths == (str(tmp_path),)
    assert log == []
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / ".hidden.txt").write_text("c")
    assert local_data({"dataset_path": str(tmp_path)}).paths == (str(tmp_path),)
    (message,) = log
    assert "1 file(s)" in message
    assert message.endswith("b.txt")


def test_a_folder_of_texts_is_left_to_data_juicer(tmp_path):
    (tmp_path / "b.txt").write_text("b")
    assert local_data({"dataset_path": str(tmp_path)}) is None
