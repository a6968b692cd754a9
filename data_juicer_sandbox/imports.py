"""Import of optional libraries; if one is missing, the error gives the command that installs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from data_juicer_sandbox.errors import MissingDependency
from data_juicer_sandbox.installation import install_command


def load(module: str, *, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: its import name, such as `torch`.
        extra: the extra of this package that installs it.

    Raises:
        MissingDependency: it, or a library that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the Python package {error.name!r} is not installed", hint=install_command(extra)
        ) from error
