"""Captions made here, and what the log said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Write the bytes of a file."""

    def write(name: str, content: bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    return write


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """The warnings logged."""
    said: list[str] = []
    sink = logger.add(said.append, level="WARNING", format="{message}")
    yield said
    logger.remove(sink)


@pytest.fixture
def captioned() -> Callable[..., dict[str, Any]]:
    """A row as InternVL trains on it."""

    def row(image: Any, caption: Any = "A red kite.", **fields: Any) -> dict[str, Any]:
        asked = {"from": "human", "value": "<image>\nWhat is to be seen?"}
        return {"image": image, "conversations": [asked, {"from": "gpt", "value": caption}], **fields}

    return row
