"""What is found by name: the plug-ins of installed packages, and objects at a dotted path."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from data_juicer_sandbox.errors import ConfigError


@cache
def plugins(group: str) -> dict[str, str]:
    """The plug-ins of a group `data_juicer_sandbox.<group>` by name, as `module:attribute`.

    Read once a process, since reading entry points takes a while.
    """
    return {point.name: point.value for point in entry_points(group=f"data_juicer_sandbox.{group}")}


def import_object(target: str) -> Any:
    """What is at `package.module:name` or `package.module.name`.

    Raises:
        ConfigError: nothing is.
    """
    module, _, name = target.partition(":") if ":" in target else target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "package.module.Name, on the Python path"
        raise ConfigError(f"cannot import {target!r}: {error}", hint=hint) from error
