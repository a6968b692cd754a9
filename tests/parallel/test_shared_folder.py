"""What this machine knows about a folder without asking others."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.parallel.shared_folder import has_outcome, is_local, probe_file


def test_the_type_of_the_file_system_tells_whether_a_folder_is_local():
    assert is_local(Path("/dev/shm"))
    assert not is_local(Path("/proc/self"))  # an unknown type


@pytest.mark.parametrize(("name", "expected"), [("result.pkl", True), ("failure.pkl", True), ("task.pkl", False)])
def test_a_result_or_a_failure_is_an_outcome(tmp_path: Path, name: str, expected: bool):
    (tmp_path / name).touch()
    assert has_outcome(tmp_path) is expected
    assert not has_outcome(tmp_path / "missing")


def test_the_probe_is_removed(tmp_path: Path):
    with probe_file(tmp_path) as path:
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == []
