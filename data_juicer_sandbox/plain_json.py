"""Parsing of JSON from untrusted files, lines and replies."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """The value of a JSON text, like `json.loads`.

    Raises:
        ValueError: it is not JSON, or nested too deeply for Python (about 1,000 levels).
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
