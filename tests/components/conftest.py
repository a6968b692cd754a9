"""What components' tests use: a job to run in, and texts that the standard library brings along."""

from __future__ import annotations

import ast
import json
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import smollm2 as smollm2_folder
from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob


@pytest.fixture
def quiet() -> NullJob:
    """Keeps the metrics of `job`."""
    return NullJob()


@pytest.fixture
def job(tmp_path: Path, quiet: NullJob) -> JobRun:
    """A job that components run in."""
    folder = tmp_path / "job"
    folder.mkdir()
    return JobRun("anonymous", "a_job", folder, quiet, quiet)


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., str]:
    """Write rows (mappings) or lines (texts) to a file of the test's folder."""

    def write(name: str, rows: Iterable[Any]) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def docstrings() -> list[str]:
    """Some hundred docstrings of the standard library, about 100 kB."""
    return _docstrings()


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a real model that chats."""
    if smollm2_folder.MISSING:
        pytest.skip(smollm2_folder.REASON)
    return smollm2_folder.model_folder(tmp_path_factory.mktemp("models"))


@cache
def _docstrings() -> list[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    names = ("argparse", "ast", "collections/__init__", "datetime", "decimal", "pathlib", "statistics", "typing")
    return [text for name in names for text in _texts(library / f"{name}.py") if len(text) > 40]


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            yield text


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged, a text a message."""
    messages: list[str] = []
    handle = logger.add(lambda message: messages.append(message.record["message"]), level="INFO", format="{message}")
    yield messages
    logger.remove(handle)
