"""JSON of files, lines and replies that anybody may have written."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """The value of a JSON text, as `json.loads` has it.

    Raises:
        ValueError: it is no JSON, or nested too deeply for Python (about 1,000 levels).
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
