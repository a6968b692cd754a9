"""Pools of the test's own, and jobs to manipulate them in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data_juicer_sandbox.components.base import JobRun, NullJob


@pytest.fixture
def laid(tmp_path: Path) -> Callable[..., list[str]]:
    """Lay down files (bytes) in an empty folder, with a job's beside it; returns their paths."""

    def lay(*datas: bytes, names: str = "p{}.jsonl") -> list[str]:
        shutil.rmtree(tmp_path / "lab", ignore_errors=True)
        (tmp_path / "lab" / "job").mkdir(parents=True)
        paths = []
        for number, data in enumerate(datas):
            paths.append(str(tmp_path / "lab" / names.format(number)))
            Path(paths[-1]).write_bytes(data)
        return paths

    return lay


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], JobRun]:
    """A job in the folder that `laid` makes."""

    def make() -> JobRun:
        quiet = NullJob()
        return JobRun("anonymous", "a_job", tmp_path / "lab" / "job", quiet, quiet)

    return make
