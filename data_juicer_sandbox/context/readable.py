"""The context's values as JSON, for people: nothing is left out, and no value can grow far beyond its encoded form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from data_juicer_sandbox.context.arrays import is_array
from data_juicer_sandbox.types import JsonValue, LibraryObject

if TYPE_CHECKING:
    import pandas as pd

LONG_RANGE = 1000
"""Length from which a range is written as its bounds, which is all that the checkpoint stores of a range."""
MAX_REPEATED = 64 << 20
"""Characters that one frame, series or index may repeat: texts of its categories, and of its index beside each column.

The checkpoint holds each of these texts once, so a small file could fill a disk.
"""


def to_json_value(value: object) -> JsonValue:
    """Convert a value to JSON types; values of other types become text.

    Args:
        value: a value of the context.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, Mapping):
        return _from_mapping(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json_value(item) for item in value]
    try:
        return to_json_value(_from_array(value)) if is_array(value) else str(value)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:  # a time in the year 146 billion, for one
        return f"a {type(value).__name__} that cannot be shown: {error}"


def _from_mapping(value: Mapping[object, object]) -> dict[str, JsonValue]:
    """The mapping with texts as keys; a key whose text another key has too is followed by its type."""
    texts = [str(key) for key in value]
    if len(set(texts)) == len(texts):
        return {text: to_json_value(item) for text, item in zip(texts, value.values(), strict=True)}
    texts_to_values: dict[str, JsonValue] = {
        key: to_json_value(item) for key, item in value.items() if isinstance(key, str)
    }
    for key, item in value.items():
        if not isinstance(key, str):
            text = str(key)
            while text in texts_to_values:
                text = f"{text} ({type(key).__name__})"
            texts_to_values[text] = to_json_value(item)
    return texts_to_values


def _from_array(value: LibraryObject) -> object:
    """An array, frame, series or index as plain values.

    A frame is `{column: {label: value}}`, a series `{label: value}`. Where that form would lose or repeat too much, it
    is `{"columns": [...], "index": [...], "data": [[...], ...]}`, with a list for each column.
    """
    type_name = type(value).__name__
    if type_name == "ndarray":
        return value.tolist()
    if type_name not in ("DataFrame", "Series"):
        return _items(value)
    index_characters = _characters(value.index) * (value.shape[1] if type_name == "DataFrame" else 1)
    distinct = _is_unique(value.index) and index_characters <= MAX_REPEATED
    if type_name == "Series":
        if distinct and not _repeats_too_much(value):
            return value.to_dict()
        return {"name": value.name, "index": _items(value.index), "data": _items(value)}
    columns = [value.iloc[:, position] for position in range(value.shape[1])]
    if distinct and _is_unique(value.columns) and not any(map(_repeats_too_much, columns)):
        return value.to_dict()
    return {
        "columns": _items(value.columns),
        "index": _items(value.index),
        "data": [_items(column) for column in columns],
    }


def _items(column: pd.Series | pd.Index) -> JsonValue:
    """The items of a series or an index; its categories and their numbers, where it would repeat too much."""
    if type(column).__name__ == "RangeIndex":
        return str(column) if len(column) > LONG_RANGE else list(column)
    if not _repeats_too_much(column):
        return column.tolist()
    codes = getattr(column, "cat", column).codes
    return {"categories": _items(column.dtype.categories), "codes": codes.tolist()}


def _is_unique(index: pd.Index) -> bool:
    try:
        return bool(index.is_unique)
    except TypeError:  # its items cannot be hashed
        return False


def _repeats_too_much(column: pd.Series | pd.Index) -> bool:
    """Whether the categories of a series or an index unfold to too many characters."""
    if type(column.dtype).__name__ != "CategoricalDtype":
        return False
    import numpy as np

    codes = np.asarray(getattr(column, "cat", column).codes)
    categories = column.dtype.categories
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    characters = (
        int(count) * len(text) for count, text in zip(counts, categories, strict=True) if isinstance(text, str)
    )
    return sum(characters) > MAX_REPEATED


def _characters(index: pd.Index) -> int:
    """Characters of the texts among the labels of an index."""
    if type(index).__name__ == "RangeIndex":
        return 0
    if type(index.dtype).__name__ == "CategoricalDtype" and _repeats_too_much(index):
        return MAX_REPEATED + 1
    return sum(sum(map(_length, label)) if isinstance(label, tuple) else _length(label) for label in index)


def _length(label: object) -> int:
    return len(label) if isinstance(label, str) else 0
