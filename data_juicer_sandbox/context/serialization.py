"""Convert outputs to the values that the context keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import PurePath

from data_juicer_sandbox.context.arrays import Unsupported, is_array
from data_juicer_sandbox.context.hash_limits import refuse_collisions
from data_juicer_sandbox.context.tagged_values import MAX_DEPTH, MAX_INT_BITS, decode, encode, is_pandas_scalar
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject

_SCALARS = (bool, int, float, str, bytes, type(None), complex, datetime, date)


def to_plain(value: LibraryObject, name: str, depth: int = 0) -> LibraryObject:
    """Convert a value to the form that the context keeps: paths become text, NumPy scalars numbers, containers copies.

    Args:
        value: what a component put out.
        name: what it is called, for the error.
        depth: the number of containers around it.

    Raises:
        JobError: it is, or holds, something that is neither plain Python nor NumPy nor pandas, is nested too deeply, or
            has an integer of more than 4,000 digits.
    """
    value_type = type(value)
    if depth > MAX_DEPTH:
        raise JobError(f"output {name[:60]!r}... is nested more than {MAX_DEPTH} levels deep", hint="a flatter value")
    if value_type is int and value.bit_length() > MAX_INT_BITS:
        raise JobError(f"output {name!r} is an integer of more than 4,000 digits", hint="a float, or a text")
    if value_type in _SCALARS:
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        keys = _distinct([to_plain(key, name, depth + 1) for key in value], name)
        return {key: to_plain(item, f"{name}.{key}", depth + 1) for key, item in zip(keys, value.values(), strict=True)}
    if value_type in (set, frozenset):
        return value_type(_distinct([to_plain(item, name, depth + 1) for item in value], name))
    if value_type in (list, tuple):
        return value_type(to_plain(item, f"{name}.{index}", depth + 1) for index, item in enumerate(value))
    if value_type.__module__.startswith("numpy") and hasattr(value, "dtype"):
        return _from_numpy(value, name, depth)
    if is_array(value) or is_pandas_scalar(value):
        return _encodable(value, name, depth)
    if isinstance(value, (str, int, float)):  # an enum or another subclass, whose `__str__` may give another text
        return to_plain(_of_base(value), name, depth)
    raise JobError(
        f"output {name!r} is a {value_type.__module__}.{value_type.__qualname__}",
        hint="put out plain values, NumPy or pandas",
    )


def _distinct(items: list[object], name: str) -> list[object]:
    """The keys of a mapping, or the items of a set, after they were made plain.

    Raises:
        JobError: two of them have become equal, so that one would be lost; or too many have the same hash, so that
            the checkpoint could not be read.
    """
    try:
        refuse_collisions(items, {})
        lost = len(items) - len(set(items))
    except (ValueError, TypeError) as error:
        raise JobError(f"output {name!r} cannot be kept: {error}", hint="put out a list of pairs") from error
    if lost:
        raise JobError(f"output {name!r} has keys that are equal as plain values, such as a path and its text")
    return items


def _of_base(value: str | int | float) -> str | int | float:
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _from_numpy(value: LibraryObject, name: str, depth: int) -> object:
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
    if value.dtype.kind in "mM" and type(scalar) is int:  # NumPy gives the count of nanoseconds
        hint = "convert it to `pandas.Timestamp` or `pandas.Timedelta`"
        raise JobError(f"output {name!r} is a numpy.{type(value).__name__} of type {value.dtype}", hint=hint)
    if type(scalar) is type(value):
        raise JobError(f"output {name!r} is a numpy.{type(value).__name__}", hint="convert it to `float` or `complex`")
    return to_plain(scalar, name, depth)


def _encodable(value: object, name: str, depth: int) -> object:
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
