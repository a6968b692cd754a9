"""Conversion between Arrow values and JSON values, both ways.

Imports Arrow, so this module is imported inside functions only.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from data_juicer_sandbox.components.io.nested import Converter, converter, leaves, map_leaves
from data_juicer_sandbox.types import JsonValue, LibraryObject

_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_UTC = "+00:00"


def storage_type(arrow_type: LibraryObject) -> LibraryObject:
    """The type in which a column is written: dictionaries are decoded, and all fields are nullable."""
    return map_leaves(arrow_type, lambda leaf: leaf.value_type if pt.is_dictionary(leaf) else leaf)


def values(array: LibraryObject) -> list[JsonValue]:
    """Convert an Arrow array to JSON values.

    Dates and times become ISO 8601 strings with all digits of their unit (in UTC, `+00:00`, if they have a zone),
    durations ISO 8601 strings in seconds (`PT1.500S`), decimals strings, bytes base64, maps lists of pairs.
    """
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if (convert := converter(array.type, _to_json)) is None:
        return array.to_pylist()
    if any(map(pt.is_temporal, leaves(array.type))):
        # As integers, since Python's own types support neither nanoseconds nor years beyond 9999.
        array = array.view(map_leaves(array.type, _number))
    return [None if value is None else convert(value) for value in array.to_pylist()]


def array(items: list[JsonValue], arrow_type: LibraryObject) -> LibraryObject:
    """Convert JSON values to an Arrow array; the inverse of `values`.

    Args:
        items: JSON values.
        arrow_type: the type of the array.

    Raises:
        ValueError, TypeError, ArithmeticError, AttributeError: a value does not fit the type; Arrow's errors are
            subclasses of these.
    """
    if convert := converter(_stored(arrow_type), _from_json):
        items = [None if value is None else convert(value) for value in items]
    return pa.array(items, arrow_type)


def has_bytes(arrow_type: LibraryObject) -> bool:
    """Whether values of a type contain bytes."""
    return any(map(_is_bytes, leaves(_stored(arrow_type))))


def is_supported(arrow_type: LibraryObject) -> bool:
    """Whether values of a type can be created; nested extension types, such as UUIDs in a list, are not supported."""
    return not any(isinstance(leaf, pa.BaseExtensionType) for leaf in leaves(_stored(arrow_type)))


def _stored(arrow_type: LibraryObject) -> LibraryObject:
    return arrow_type.storage_type if isinstance(arrow_type, pa.BaseExtensionType) else arrow_type


def _number(arrow_type: LibraryObject) -> LibraryObject:
    return (pa.int32() if arrow_type.bit_width == 32 else pa.int64()) if pt.is_temporal(arrow_type) else arrow_type


def _to_json(arrow_type: LibraryObject) -> Converter | None:
    if pt.is_timestamp(arrow_type):
        zone = _UTC if arrow_type.tz else ""
        return lambda count: str(np.datetime64(count, arrow_type.unit)) + zone
    if pt.is_date32(arrow_type):
        return lambda count: str(np.datetime64(count, "D"))
    if pt.is_time(arrow_type):
        return lambda count: str(np.datetime64(count, arrow_type.unit)).partition("T")[2]
    if pt.is_duration(arrow_type):
        return lambda count: f"PT{Decimal(count).scaleb(-_DIGITS[arrow_type.unit]):f}S"
    if pt.is_decimal(arrow_type) or isinstance(arrow_type, pa.UuidType):
        return str
    return _encoded if _is_bytes(arrow_type) else None


def _from_json(arrow_type: LibraryObject) -> Converter | None:
    if pt.is_timestamp(arrow_type):
        return _count(arrow_type.unit, lambda text: text.removesuffix(_UTC))
    if pt.is_date32(arrow_type):
        return _count("D", lambda text: text)
    if pt.is_time(arrow_type):
        return _count(arrow_type.unit, lambda text: f"1970-01-01T{text}")
    if pt.is_duration(arrow_type):
        return lambda text: int(Decimal(text[2:-1]).scaleb(_DIGITS[arrow_type.unit]))
    if pt.is_decimal(arrow_type):
        return Decimal
    return _decoded if _is_bytes(arrow_type) else None


def _count(unit: Any, to_iso: Callable[[str], str]) -> Converter:
    """A converter from ISO 8601 to the number of units since the epoch."""
    return lambda text: int(np.datetime64(to_iso(text), unit).astype(np.int64))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _is_bytes(arrow_type: LibraryObject) -> bool:
    return any(
        fits(arrow_type) for fits in (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view)
    )
