"""Names for the types that many modules share. This module imports nothing of the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
"""One row of a data set: the values by column name."""

ConfigValues: TypeAlias = dict[str, Any]
"""Keys and values of a config, a recipe or one of their sections, as YAML or JSON gives them."""

Metrics: TypeAlias = dict[str, Any]
"""Results of a job, an evaluation or a training step by their names: numbers, texts or nested results."""

JsonValue: TypeAlias = Any
"""A value as JSON or YAML gives it: null, boolean, number, text, list or mapping."""

LibraryObject: TypeAlias = Any
"""An object of a library that mypy skips: a torch model, a tokenizer, a data set, an Arrow table."""

Variables: TypeAlias = Mapping[str, JsonValue]
"""What `${...}` in a config may name: the value by its name."""
