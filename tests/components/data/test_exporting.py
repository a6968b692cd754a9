"""Exports appear complete or not at all, and replace only what the same job wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_juicer_sandbox.components.data.exporting import exporting
from data_juicer_sandbox.errors import JobError


def export_folder(path: Path, name: str, while_running: Path | None = None) -> list[str]:
    with exporting(str(path), folder=True) as export:
        part = Path(export.part)
        part.mkdir()
        (part / name).write_text(name)
        if while_running is not None:
            while_running.write_text("mine")
    return export.files


def test_a_folder_replaces_the_one_that_the_job_wrote_before(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert export_folder(path, "1.jsonl") == [str(path)]
    assert export_folder(path, "2.jsonl") == [str(path)]
    assert [file.name for file in path.glob("[!.]*")] == ["2.jsonl"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_folder_with_files_of_others_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    export_folder(path, "1.jsonl")
    with pytest.raises(JobError, match=r"files that this job did not write: mine.txt"):
        export_folder(path, "2.jsonl", while_running=path / "mine.txt")
    with pytest.raises(JobError, match=r"files that this job did not write: mine.txt"):
        export_folder(path, "3.jsonl")
    assert sorted(file.name for file in path.glob("[!.]*")) == ["1.jsonl", "mine.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path: Path) -> None:
    export_folder(tmp_path / "a.jsonl", "1.jsonl")
    refused = pytest.raises(JobError, match="is a folder, but the job writes a file there")
    with refused, exporting(str(tmp_path / "a.jsonl")):
        pass
    (tmp_path / "b.jsonl").write_text("mine")
    with pytest.raises(JobError, match="is a file, but the job writes a folder there"):
        export_folder(tmp_path / "b.jsonl", "1.jsonl")


def test_exports_side_by_side_into_one_folder_leave_each_other_alone(tmp_path: Path) -> None:
    with exporting(str(tmp_path / "pool.v1.jsonl")) as first:
        Path(first.part).write_text("1")
        with exporting(str(tmp_path / "pool.v2.jsonl")) as second:  # beside it, in a process of its own
            Path(second.part).write_text("2")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"pool.v1.jsonl": "1", "pool.v2.jsonl": "2"}


def test_the_next_export_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    with exporting(str(path)) as export:
        folder = Path(export.part).parent
        shutil.copytree(folder, folder.with_name(f"{folder.name}0"))
        Path(export.part).write_text("1")
    assert len(list(tmp_path.iterdir())) == 2
    with exporting(str(path)) as export:
        Path(export.part).write_text("2")
    assert [file.name for file in tmp_path.iterdir()] == ["pool.jsonl"]


def test_the_longest_name_that_a_file_may_have_can_be_exported(tmp_path: Path) -> None:
    path = tmp_path / f"{'p' * 249}.jsonl"
    with exporting(str(path)) as export:
        Path(export.part).write_text("1")
    assert path.read_text() == "1"
