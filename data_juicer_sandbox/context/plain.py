"""Which values the context takes, and how they are written for people to read."""

from __future__ import annotations

import math
import pickle  # only to see whether the restricted unpickler takes a value
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import PurePath
from typing import Any

from data_juicer_sandbox.context.unpickler import loads
from data_juicer_sandbox.errors import JobError

_SCALARS = (bool, int, float, str, bytes, type(None), complex, datetime, date)


def plain(value: Any, name: str) -> Any:
    """A value as the context keeps it: paths become text, NumPy scalars Python numbers, containers are copied.

    Args:
        value: what a component put out.
        name: what it is called, for the error.

    Raises:
        JobError: it is, or holds, something that is neither plain Python nor NumPy nor pandas.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key, name): plain(item, f"{name}.{key}") for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(plain(item, f"{name}.{index}") for index, item in enumerate(value))
    if kind.__module__.startswith("numpy") and hasattr(value, "dtype"):
        if value.dtype == object:
            raise JobError(
                f"output {name!r} is a NumPy array of Python objects", hint="give it a type, or put out a list"
            )
        return _loadable(value, name) if kind.__name__ == "ndarray" else value.item()
    if kind.__module__.partition(".")[0] == "pandas" and kind.__name__ in ("DataFrame", "Series", "Index"):
        return _loadable(value, name)
    if isinstance(value, (str, int, float)):  # an enum or another subclass
        return next(base(value) for base in (str, int, float) if isinstance(value, base))
    raise JobError(
        f"output {name!r} is a {kind.__module__}.{kind.__qualname__}", hint="put out plain values, NumPy or pandas"
    )


def _loadable(value: Any, name: str) -> Any:
    """The value, if the checkpoint it goes into could be read again: a frame may hold objects of any kind."""
    try:
        loads(pickle.dumps(value, protocol=4))
    except Exception as error:
        raise JobError(
            f"output {name!r} cannot be kept: {error}", hint="put out plain values, NumPy or pandas"
        ) from error
    return value


def readable(value: Any) -> Any:
    """The same for JSON: what JSON cannot say is said in words."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(key): readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [readable(item) for item in value]
    if hasattr(value, "to_dict"):
        return readable(value.to_dict())
    if hasattr(value, "tolist"):
        return readable(value.tolist())
    return str(value)
