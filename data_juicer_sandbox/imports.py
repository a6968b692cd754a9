"""Optional libraries: imported where used, and when missing, answered with the command that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from data_juicer_sandbox.errors import MissingDependency


def load(module: str, *, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: its import name, such as `torch`.
        extra: the extra of this package that brings it.

    Raises:
        MissingDependency: it, or a library it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the Python package {error.name!r} is not installed", hint=f"pip install 'data-juicer-sandbox[{extra}]'"
        ) from error
