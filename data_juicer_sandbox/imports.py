"""Optional libraries: which are needed, whether they are installed, their import, the commands that install them."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from data_juicer_sandbox.errors import MissingDependency
from data_juicer_sandbox.installation import install_command


@dataclass(frozen=True)
class Library:
    """An optional library.

    Args:
        module: its import name, such as `torch`.
        extra: the extra of this package that installs it; None if there is none.
        command: the command that installs it, if no extra does.
    """

    module: str
    extra: str | None = None
    command: str = ""

    @property
    def install(self) -> str:
        """The command that installs it."""
        return install_command(self.extra) if self.extra else self.command or f"pip install {self.module}"


def libraries(extra: str, *modules: str) -> tuple[Library, ...]:
    """Libraries that an extra of this package installs.

    Args:
        extra: the name of the extra.
        modules: their import names.
    """
    return tuple(Library(module, extra) for module in modules)


def is_installed(module: str) -> bool:
    """Whether a top-level module can be found. It is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


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
