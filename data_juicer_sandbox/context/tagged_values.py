"""The context's values as a tree of plain Python, which a pickle can hold without naming a class, and back.

A value that plain Python lacks becomes `{"__dj_value__": <kind>, ...}`. `docs/faq.md` has a script that reads these
values without this package; a test runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from data_juicer_sandbox.context import arrays
from data_juicer_sandbox.context.arrays import TAG, Unsupported
from data_juicer_sandbox.context.hash_limits import refuse_collisions
from data_juicer_sandbox.context.time_zones import checked_zone, zone_key, zone_name
from data_juicer_sandbox.types import LibraryObject

T = TypeVar("T", str, bytes)
_SCALARS = (bool, int, float, str, bytes, type(None))
_COMPOUND = (list, tuple, set, frozenset, dict)
_SIMPLE = (bool, float, type(None))
_PANDAS_SCALARS = ("NAType", "NaTType", "Timestamp", "Timedelta")
_UNITS = ("s", "ms", "us", "ns")
MAX_DEPTH = 64
"""Levels of containers that a value may have; the reader of the pickle allows more, for what is around it."""
MAX_INT_BITS = 8 * 1690
SHORT = 64
"""Characters of a text that a pickle may refer to instead of a copy. `pickle_reader.REPEATS_PER_BYTE` allows for it."""


def encode(
    value: LibraryObject, name: str = "value", depth: int = 0, encoded_ids: set[int] | None = None
) -> LibraryObject:
    """A value as a tree of plain containers and scalars, none of which occurs in it twice.

    Args:
        value: plain Python, NumPy or pandas.
        name: its name in errors.
        depth: the number of containers around it.
        encoded_ids: ids of long texts and bytes that were encoded before and still exist; updated. Texts in it are
            copied.

    Raises:
        Unsupported: it holds something else, is nested too deeply, or has too large a number; says where.
    """
    value_type = type(value)
    if value_type is int and value.bit_length() > MAX_INT_BITS:
        raise Unsupported(f"{name} is an integer of more than 4,000 digits")
    if value_type in _SCALARS:
        return _unshared(value, encoded_ids) if value_type in (str, bytes) and len(value) > SHORT else value
    if depth > MAX_DEPTH:
        raise Unsupported(f"{name[:60]}... is nested more than {MAX_DEPTH} levels deep")
    if value_type in (list, tuple, set, frozenset):
        items = [
            item if type(item) in _SIMPLE else encode(item, f"{name}.{position}", depth + 1, encoded_ids)
            for position, item in enumerate(value)
        ]
        if value_type in (set, frozenset) and any(map(_has_dict, items)):
            return {TAG: value_type.__name__, "data": items}
        return value_type(items)
    if isinstance(value, Mapping):
        pairs = [
            (encode(key, name, depth + 1, encoded_ids), encode(item, f"{name}.{key}", depth + 1, encoded_ids))
            for key, item in value.items()
        ]
        if TAG in value or any(_has_dict(key) for key, _ in pairs):
            return {TAG: "mapping", "data": pairs}
        return dict(pairs)
    if value_type is complex:
        return {TAG: "complex", "data": (value.real, value.imag)}
    if value_type is datetime and (key := zone_key(value.tzinfo)):
        local = value.replace(tzinfo=None)
        return {TAG: "datetime", "data": local.isoformat(), "fold": value.fold, "zone": key}
    if value_type in (datetime, date):
        return {TAG: value_type.__name__, "data": value.isoformat(), "fold": getattr(value, "fold", 0)}
    if arrays.is_array(value):
        # The encoded form has more levels than the value: frame, list of columns, column, categories, column, items.
        return arrays.encode(value, lambda item, item_name: encode(item, item_name, depth + 2, encoded_ids))
    return _encode_pandas_scalar(value, name)


def _unshared(value: T, encoded_ids: set[int] | None) -> T:
    """A long text or run of bytes; a copy of it where it was encoded before, since a pickle would refer to it."""
    if encoded_ids is None:
        return value
    if id(value) in encoded_ids:
        return value[:1] + value[1:]
    encoded_ids.add(id(value))
    return value


def _has_dict(key: object) -> bool:
    """Whether the encoded form of a key cannot be a key itself."""
    return type(key) is dict or (isinstance(key, tuple | frozenset) and any(map(_has_dict, key)))


def decode(value: LibraryObject) -> LibraryObject:
    """The reverse of `encode`.

    Raises:
        ValueError: a tagged value is not one that `encode` makes.
    """
    value_type = type(value)
    if value_type in (list, tuple, set, frozenset):
        return value_type(decode(item) if type(item) in _COMPOUND else item for item in value)
    if value_type is not dict:
        return value
    if TAG not in value:
        return {decode(key): decode(item) for key, item in value.items()}
    try:
        return _decode_tagged(value)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, MemoryError, OSError) as error:
        raise ValueError(f"a value of kind {str(value[TAG])[:40]!r} is damaged: {error}") from error


def _decode_tagged(value: arrays.Encoded) -> object:
    type_tag = value[TAG]
    if type_tag == "mapping":
        pairs = [(decode(key), decode(item)) for key, item in value["data"]]
        refuse_collisions((key for key, _ in pairs), {})
        return dict(pairs)
    if type_tag in ("set", "frozenset"):
        items = [decode(item) for item in value["data"]]
        refuse_collisions(items, {})
        return (set if type_tag == "set" else frozenset)(items)
    if type_tag == "complex":
        real, imaginary = value["data"]
        return complex(float(real), float(imaginary))
    if type_tag == "datetime":
        moment = datetime.fromisoformat(value["data"]).replace(fold=1 if value["fold"] else 0)
        return moment.replace(tzinfo=ZoneInfo(value["zone"])) if "zone" in value else moment
    if type_tag == "date":
        return date.fromisoformat(value["data"])
    if type_tag in ("missing", "timestamp", "timedelta"):
        return _decode_pandas_scalar(value)
    return arrays.decode(value, decode)


def is_pandas_scalar(value: object) -> bool:
    """Whether a value is a time, a duration, or one of the markers of missing values of pandas."""
    value_type = type(value)
    return value_type.__module__.partition(".")[0] == "pandas" and value_type.__name__ in _PANDAS_SCALARS


def _encode_pandas_scalar(value: LibraryObject, name: str) -> object:
    """What columns of Python objects hold beside plain values: `NA`, `NaT`, times."""
    type_name = type(value).__name__
    if type(value).__module__.partition(".")[0] == "pandas":
        if type_name in ("NAType", "NaTType"):
            return {TAG: "missing", "data": type_name}
        if type_name in ("Timestamp", "Timedelta"):
            zone = getattr(value, "tz", None)
            tz = {} if zone is None else {"tz": zone_name(zone)}
            if tz and tz["tz"] is None:
                raise Unsupported(f"{name} is a time of the zone {zone}, which has no name that pandas knows")
            return {TAG: type_name.lower(), "data": int(value.asm8.view("i8")), "unit": value.unit, **tz}
    if type(value).__module__ == "numpy" and hasattr(value, "item") and type(value.item()) in _SCALARS:
        return value.item()
    raise Unsupported(f"{name} holds a {type(value).__module__}.{type(value).__qualname__}")


def _decode_pandas_scalar(value: arrays.Encoded) -> object:
    import numpy as np
    import pandas as pd

    if value[TAG] == "missing":
        return pd.NA if value["data"] == "NAType" else pd.NaT
    count, unit = int(value["data"]), str(value["unit"])
    if unit not in _UNITS:
        raise ValueError(f"unknown unit {unit!r:.20}")
    if value[TAG] == "timedelta":
        return pd.Timedelta(np.int64(count).view(f"m8[{unit}]"))
    moment = pd.Timestamp(np.int64(count).view(f"M8[{unit}]"))
    return moment.tz_localize("UTC").tz_convert(checked_zone(str(value["tz"]))) if "tz" in value else moment
