"""Convert outputs to the values that the context keeps, and those to JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import PurePath
from typing import Any

from data_juicer_sandbox.context.arrays import Unsupported, is_array
from data_juicer_sandbox.context.tagged_values import MAX_DEPTH, MAX_INT_BITS, decode, encode
from data_juicer_sandbox.errors import JobError

LONG_RANGE = 1000
"""Numbers of a range from which on its bounds stand for it in JSON."""
_SCALARS = (bool, int, float, str, bytes, type(None), complex, datetime, date)


def to_plain(value: Any, name: str, depth: int = 0) -> Any:
    """A value as the context keeps it: paths become text, NumPy scalars Python numbers, containers are copied.

    Args:
        value: what a component put out.
        name: what it is called, for the error.
        depth: how many containers it lies in.

    Raises:
        JobError: it is, or holds, something that is neither plain Python nor NumPy nor pandas, is nested too deeply, or
            has an integer of more than 4,000 digits.
    """
    kind = type(value)
    if depth > MAX_DEPTH:
        raise JobError(f"output {name[:60]!r}... is nested more than {MAX_DEPTH} levels deep", hint="a flatter value")
    if kind is int and value.bit_length() > MAX_INT_BITS:
        raise JobError(f"output {name!r} is an integer of more than 4,000 digits", hint="a float, or a text")
    if kind in _SCALARS:
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {
            to_plain(key, name, depth + 1): to_plain(item, f"{name}.{key}", depth + 1) for key, item in value.items()
        }
    if kind in (list, tuple, set, frozenset):
        return kind(to_plain(item, f"{name}.{index}", depth + 1) for index, item in enumerate(value))
    if kind.__module__.startswith("numpy") and hasattr(value, "dtype"):
        return _from_numpy(value, name, depth)
    if is_array(value):
        return _encodable(value, name, depth)
    if isinstance(value, (str, int, float)):  # an enum or another subclass
        return next(base(value) for base in (str, int, float) if isinstance(value, base))
    raise JobError(
        f"output {name!r} is a {kind.__module__}.{kind.__qualname__}", hint="put out plain values, NumPy or pandas"
    )


def _from_numpy(value: Any, name: str, depth: int) -> Any:
    """A value of NumPy: an array stays one, a scalar becomes a number of Python.

    Raises:
        JobError: the checkpoint cannot hold it.
    """
    import numpy as np

    if value.dtype == object:
        raise JobError(f"output {name!r} is a NumPy array of Python objects", hint="give it a type, or put out a list")
    if isinstance(value, np.ma.MaskedArray):
        raise JobError(f"output {name!r} is a NumPy array with a mask", hint="return a pandas Series, or a list")
    if isinstance(value, np.ndarray):
        # An array that maps a file, or of another subclass, is copied: the file may change.
        return _encodable(value if type(value) is np.ndarray else np.array(value, subok=False), name, depth)
    scalar = value.item()
    if type(scalar) is type(value):
        raise JobError(f"output {name!r} is a numpy.{type(value).__name__}", hint="convert it to `float` or `complex`")
    return to_plain(scalar, name, depth)


def _encodable(value: Any, name: str, depth: int) -> Any:
    """The value, if the checkpoint can hold it: a frame may hold objects of any kind.

    It is also decoded, so that what cannot be read again fails its job here, and not all jobs when the run resumes.

    Raises:
        JobError: it cannot.
    """
    try:
        decode(encode(value, name, depth))
    except (Unsupported, ValueError) as error:
        raise JobError(
            f"output {name!r} cannot be kept: {error}", hint="return plain values, NumPy or pandas"
        ) from error
    return value


def to_json_value(value: Any) -> Any:
    """The same for JSON: a value that JSON lacks, and a long range of numbers, become text."""
    if type(value).__name__ == "RangeIndex" and len(value) > LONG_RANGE:
        return str(value)  # a range of any length takes a few bytes in the checkpoint
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json_value(item) for item in value]
    if hasattr(value, "to_dict"):
        return to_json_value(value.to_dict())
    if hasattr(value, "tolist"):
        return to_json_value(value.tolist())
    return str(value)
