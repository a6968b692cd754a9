"""A small data set to train on."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def corpus(jsonl: Callable[..., str], docstrings: list[str]) -> str:
    """Two hundred docstrings."""
    return jsonl("corpus.jsonl", [{"text": text, "n": number} for number, text in enumerate(docstrings[:200])])
