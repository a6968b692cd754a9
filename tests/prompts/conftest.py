from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import model_server
import pytest
import yaml

CONFIGS = Path(__file__).parents[2] / "configs" / "prompts"
ENDPOINT = "http://localhost:8000/v1"


@pytest.fixture
def shipped(config_file, dj_sandbox) -> Callable[..., dict[str, Any]]:
    """Run a shipped config, as it is but for the server's address; gives its content."""

    def run(name: str, url: str, timeout: float = 600) -> dict[str, Any]:
        text = (CONFIGS / name).read_text()
        assert ENDPOINT in text
        path = config_file(text.replace(ENDPOINT, url), name)
        made = dj_sandbox("--config", str(path), timeout=timeout)
        assert made.returncode == 0, made.stderr
        return yaml.safe_load(text)

    return run


@pytest.fixture
def rows() -> Callable[[str | Path], list[dict[str, Any]]]:
    def read(path: str | Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in Path(path).read_text().splitlines()]

    return read


@pytest.fixture
def scores() -> Callable[[str | Path, str], list[dict[str, Any]]]:
    """What a run's context has for `<pipeline>.<meta_name>`, in each pass."""

    def read(folder: str | Path, label: str) -> list[dict[str, Any]]:
        pipeline, name = label.split(".")
        with Path(folder, "context_infos.pkl").open("rb") as stream:
            passes = pickle.load(stream)
        return [next(job for job in one[pipeline] if job["meta_name"] == name) for one in passes]

    return read


@pytest.fixture(scope="session")
def model_address() -> Iterator[str]:
    """A real server with a real model."""
    if model_server.MISSING:
        pytest.skip(model_server.REASON)
    with model_server.serving() as address:
        yield address
