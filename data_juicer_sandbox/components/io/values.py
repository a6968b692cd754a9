"""Values that tables have and JSON has not: how they are written in JSON, and read back.

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

from data_juicer_sandbox.components.io.nested import Way, converter, leaves, rebuilt

_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_UTC = "+00:00"


def plain(kind: Any) -> Any:
    """A type as it is written: what holds categories holds what they stand for, and any value may be null."""
    return rebuilt(kind, lambda leaf: leaf.value_type if pt.is_dictionary(leaf) else leaf)


def values(array: Any) -> list[Any]:
    """The values of an Arrow array, as JSON has them.

    Dates and times become ISO 8601 texts with all digits of their unit (those with a zone in UTC, `+00:00`), durations
    ISO 8601 texts in seconds (`PT1.500S`), decimals texts, bytes base64, maps lists of pairs.
    """
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if (to := converter(array.type, _to_json)) is None:
        return array.to_pylist()
    if any(map(pt.is_temporal, leaves(array.type))):
        # As the numbers they are: Python's own times know neither nanoseconds nor the year 10,000.
        array = array.view(rebuilt(array.type, _number))
    return [None if value is None else to(value) for value in array.to_pylist()]


def array(found: list[Any], kind: Any) -> Any:
    """What `values` does, undone.

    Args:
        found: values as JSON has them.
        kind: the type of the Arrow array that is made of them.

    Raises:
        ValueError, TypeError, ArithmeticError, AttributeError: they are not of that type; Arrow's errors are of these.
    """
    if to := converter(_stored(kind), _from_json):
        found = [None if value is None else to(value) for value in found]
    return pa.array(found, kind)


def has_bytes(kind: Any) -> bool:
    """Whether there are bytes in the values of a type."""
    return any(map(_is_bytes, leaves(_stored(kind))))


def is_known(kind: Any) -> bool:
    """Whether values of a type can be made: not those with extensions (UUIDs, say) below the top."""
    return not any(isinstance(leaf, pa.BaseExtensionType) for leaf in leaves(_stored(kind)))


def _stored(kind: Any) -> Any:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _number(kind: Any) -> Any:
    return (pa.int32() if kind.bit_width == 32 else pa.int64()) if pt.is_temporal(kind) else kind


def _to_json(kind: Any) -> Way | None:
    if pt.is_timestamp(kind):
        zone = _UTC if kind.tz else ""
        return lambda count: str(np.datetime64(count, kind.unit)) + zone
    if pt.is_date32(kind):
        return lambda count: str(np.datetime64(count, "D"))
    if pt.is_time(kind):
        return lambda count: str(np.datetime64(count, kind.unit)).partition("T")[2]
    if pt.is_duration(kind):
        return lambda count: f"PT{Decimal(count).scaleb(-_DIGITS[kind.unit]):f}S"
    if pt.is_decimal(kind) or isinstance(kind, pa.UuidType):
        return str
    return _encoded if _is_bytes(kind) else None


def _from_json(kind: Any) -> Way | None:
    if pt.is_timestamp(kind):
        return _count(kind.unit, lambda text: text.removesuffix(_UTC))
    if pt.is_date32(kind):
        return _count("D", lambda text: text)
    if pt.is_time(kind):
        return _count(kind.unit, lambda text: f"1970-01-01T{text}")
    if pt.is_duration(kind):
        return lambda text: int(Decimal(text[2:-1]).scaleb(_DIGITS[kind.unit]))
    if pt.is_decimal(kind):
        return Decimal
    return _decoded if _is_bytes(kind) else None


def _count(unit: Any, spelled: Callable[[str], str]) -> Way:
    """How many units after the epoch a text is."""
    return lambda text: int(np.datetime64(spelled(text), unit).astype(np.int64))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _is_bytes(kind: Any) -> bool:
    return any(fits(kind) for fits in (pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view))
