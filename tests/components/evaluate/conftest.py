"""Good and bad texts."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest


@pytest.fixture
def good_and_bad(jsonl: Callable[..., str], docstrings: list[str]) -> tuple[str, str]:
    """Docstrings, and others whose words are shuffled letters: two data sets."""
    draw = random.Random(5)
    broken = [" ".join("".join(draw.sample(w, len(w))) for w in text.split()) for text in docstrings[1::2]]
    good = jsonl("good.jsonl", [{"text": text, "n": number} for number, text in enumerate(docstrings[::2])])
    return good, jsonl("bad.jsonl", [{"text": text, "n": number} for number, text in enumerate(broken)])
