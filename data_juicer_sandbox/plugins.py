"""Look-up of plug-ins of installed packages by name, and of objects by dotted path."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points

from data_juicer_sandbox.code_policy import check_target, own_code_only
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import shorten, shown
from data_juicer_sandbox.types import LibraryObject


def plugins(group: str) -> dict[str, str]:
    """The plug-ins of the entry-point group `data_juicer_sandbox.<group>` by name, as `module:attribute`."""
    return {} if own_code_only() else _entry_points(group)


@cache
def _entry_points(group: str) -> dict[str, str]:
    """Cached, since reading entry points is slow."""
    return {point.name: point.value for point in entry_points(group=f"data_juicer_sandbox.{group}")}


def import_object(target: str) -> LibraryObject:
    """Import the object at `package.module:name` or `package.module.name`.

    Raises:
        ConfigError: it cannot be imported, or must not be (`code_policy`).
    """
    module, _, name = target.partition(":") if ":" in target else target.rpartition(".")
    hint = "package.module.Name, on the Python path"
    if not all(word.isidentifier() for word in (*module.split("."), *name.split("."))):
        raise ConfigError(f"cannot import {shown(target)}: it is not a dotted path", hint=hint)
    check_target(target)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot import {target!r}: {error}", hint=hint) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the module of a user does
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise ConfigError(f"cannot import {target!r}: its module raises {shorten(reason, 300, '...')}") from error
