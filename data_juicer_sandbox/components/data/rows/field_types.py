"""Types of the fields that Data-Juicer gets: a plain type where all values have it, JSON texts otherwise.

Data-Juicer's OPs get the values themselves in both cases; `datasets` decodes columns of JSON texts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum

from data_juicer_sandbox.types import JsonValue, LibraryObject

_BITS = 63


class FieldType(Enum):
    """The type of a field over all rows; null and missing values fit every type."""

    NOTHING = "nothing"
    """All values so far are null or missing."""
    TEXT = "text"
    TEXTS = "texts"
    """Lists of texts, such as paths of images."""
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "JSON"
    """Mappings, other lists, or values of several types."""


_PLAIN = {str: FieldType.TEXT, int: FieldType.INTEGER, float: FieldType.NUMBER, bool: FieldType.BOOLEAN}


def type_of(values: Sequence[JsonValue]) -> FieldType:
    """The type of the values of one field."""
    types = set(map(type, values)) - {type(None)}
    if len(types) != 1:
        return FieldType.JSON if types else FieldType.NOTHING
    (python_type,) = types
    if python_type is list:
        texts = all(set(map(type, value)) == {str} for value in values if value is not None)
        return FieldType.TEXTS if texts and not any(map(_has_surrogate, values)) else FieldType.JSON
    if python_type is int and not all(value is None or -(1 << _BITS) <= value < 1 << _BITS for value in values):
        return FieldType.JSON
    if python_type is str and any(map(_has_surrogate, values)):
        return FieldType.JSON
    return _PLAIN.get(python_type, FieldType.JSON)


def common_type(first: FieldType, second: FieldType) -> FieldType:
    """The type that fits the values of both."""
    if first is second or second is FieldType.NOTHING:
        return first
    return second if first is FieldType.NOTHING else FieldType.JSON


def array_of(values: Sequence[JsonValue], field_type: FieldType) -> LibraryObject:
    """An Arrow array of the values."""
    import pyarrow as pa

    if field_type is FieldType.JSON:
        texts = [None if value is None else json.dumps(value) for value in values]
        return pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts, pa.string()))
    return pa.array(values, arrow_type(field_type))


def arrow_type(field_type: FieldType) -> LibraryObject:
    """The Arrow type of a column."""
    import pyarrow as pa

    return {
        FieldType.NOTHING: pa.string(),
        FieldType.TEXT: pa.string(),
        FieldType.TEXTS: pa.list_(pa.string()),
        FieldType.INTEGER: pa.int64(),
        FieldType.NUMBER: pa.float64(),
        FieldType.BOOLEAN: pa.bool_(),
        FieldType.JSON: pa.json_(),
    }[field_type]


def type_name(value: JsonValue) -> str:
    """The type of a value, for messages."""
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
        str: "a text",
    }
    return "null" if value is None else names[type(value)]


def has_surrogate(value: JsonValue) -> bool:
    """Whether a text, or a list of texts, contains half of a surrogate pair, which Arrow cannot hold."""
    return _has_surrogate(value)


def _has_surrogate(value: JsonValue) -> bool:
    if isinstance(value, str):
        if value.isascii():
            return False
        try:
            value.encode()
        except UnicodeEncodeError:
            return True
        return False
    return isinstance(value, list) and any(map(_has_surrogate, value))
