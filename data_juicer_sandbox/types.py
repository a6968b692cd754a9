"""Names for the values that have no narrower type. A signature that uses one says at least what the value is."""

from __future__ import annotations

from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
"""A row of a data set."""

ConfigValues: TypeAlias = dict[str, Any]
"""Keys and values of a config or recipe."""

Metrics: TypeAlias = dict[str, Any]
"""Names and values of metrics."""

JsonValue: TypeAlias = Any
"""A value that JSON can express."""

LibraryObject: TypeAlias = Any
"""An object of a library without type stubs."""
