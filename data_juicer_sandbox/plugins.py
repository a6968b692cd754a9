"""Plug-ins: what installed packages offer by entry points. Read once a process, since reading them takes a while."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points


@cache
def plugins(group: str) -> dict[str, str]:
    """The plug-ins of a group `data_juicer_sandbox.<group>` by name, as `module:attribute`."""
    return {point.name: point.value for point in entry_points(group=f"data_juicer_sandbox.{group}")}
