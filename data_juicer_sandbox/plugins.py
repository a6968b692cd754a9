"""Look-up of plug-ins of installed packages by name, and of objects by dotted path."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from data_juicer_sandbox.errors import ConfigError


@cache
def plugins(group: str) -> dict[str, str]:
    """The plug-ins of the entry-point group `data_juicer_sandbox.<group>` by name, as `module:attribute`.

    Cached, since reading entry points is slow.
    """
    return {point.name: point.value for point in entry_points(group=f"data_juicer_sandbox.{group}")}


def import_object(target: str) -> Any:
    """Import the object at `package.module:name` or `package.module.name`.

    Raises:
        ConfigError: it cannot be imported.
    """
    module, _, name = target.partition(":") if ":" in target else target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "package.module.Name, on the Python path"
        raise ConfigError(f"cannot import {target!r}: {error}", hint=hint) from error
