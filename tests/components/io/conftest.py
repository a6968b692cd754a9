"""Files of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def laid(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Lay down a file."""

    def lay(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return lay
