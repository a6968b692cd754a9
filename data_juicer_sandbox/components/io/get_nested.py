"""Access to nested fields of a row."""

from __future__ import annotations

from typing import Any

from data_juicer_sandbox.types import JsonValue

MISSING: Any = object()
"""The result of `get_nested` for a missing value."""


def get_nested(value: JsonValue, keys: list[str]) -> JsonValue:
    """The value at a path of keys (indices in lists), or `MISSING`."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value
