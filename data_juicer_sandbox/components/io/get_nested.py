"""Values below the top of a row."""

from __future__ import annotations

from typing import Any

MISSING: Any = object()
"""Stands for a value that is not there."""


def get_nested(value: Any, keys: list[str]) -> Any:
    """What lies below the keys (indexes in lists), or `MISSING`."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value
