"""Limits of a config text, checked on its events before anything is built from it.

An alias stands for all that its anchor holds, so a text of 600 bytes may unfold to gigabytes; and 50,000 brackets are
more than the C library that builds the values can take.
"""

from __future__ import annotations

from typing import Any

import yaml

from data_juicer_sandbox.errors import ConfigError, Where

MAX_BYTES = 64 << 20
MAX_DEPTH = 100
"""Levels of lists and mappings in one another."""
MAX_REPEATED = 100_000
"""Values that aliases and merge keys may add to those that are written."""

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_limits(text: str, file: str) -> None:
    """Refuse a YAML text that is nested too deeply, or unfolds to too much. Other faults are left to its reader.

    Raises:
        ConfigError: it is; says on which line.
    """
    sizes: dict[str | None, int] = {}
    levels: list[tuple[str | None, int]] = []  # anchor, and values so far
    repeated = 0
    try:
        for event in yaml.parse(text, Loader=_Base):
            if isinstance(event, yaml.AliasEvent):
                size = sizes.get(event.anchor, 1)
                repeated += size
                if repeated > MAX_REPEATED:
                    what = f"aliases repeat more than {MAX_REPEATED:,} values"
                    raise ConfigError(what, where=_place(event, file), hint="write out what is needed")
                _add(levels, size)
            elif isinstance(event, yaml.ScalarEvent):
                if event.anchor:
                    sizes[event.anchor] = 1
                _add(levels, 1)
            elif isinstance(event, yaml.CollectionStartEvent):
                levels.append((event.anchor, 1))
                if len(levels) > MAX_DEPTH:
                    what = f"nested more than {MAX_DEPTH} levels deep"
                    raise ConfigError(what, where=_place(event, file), hint="check the brackets and the indentation")
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, size = levels.pop()
                if anchor:
                    sizes[anchor] = size
                _add(levels, size)
    except yaml.YAMLError:
        return


def _add(levels: list[tuple[str | None, int]], size: int) -> None:
    if levels:
        anchor, before = levels[-1]
        levels[-1] = (anchor, before + size)


def _place(event: Any, file: str) -> Where:
    return Where(file, event.start_mark.line + 1 if event.start_mark else None)
