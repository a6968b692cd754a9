"""Nested Arrow types: conversions of their leaf types and values.

Imports Arrow, so this module is imported inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from data_juicer_sandbox.types import LibraryObject

Converter = Callable[[Any], Any]
"""Converts one value that is not null."""


def converter(arrow_type: LibraryObject, leaf: Callable[[LibraryObject], Converter | None]) -> Converter | None:
    """A converter for values of a nested type, made of converters for its leaf types.

    Args:
        arrow_type: the type.
        leaf: returns the converter for a leaf type; None if its values do not change.

    Returns:
        None if no values change. Maps become a list of pairs (tuples, as Arrow requires).
    """
    if pt.is_struct(arrow_type):
        converters = {field.name: _or_null(inner) for field in arrow_type if (inner := converter(field.type, leaf))}
        if not converters:
            return None
        return lambda value: {**value, **{name: convert(value.get(name)) for name, convert in converters.items()}}
    if pt.is_map(arrow_type):
        key, item = (
            converter(arrow_type.key_type, leaf) or _identity,
            _or_null(converter(arrow_type.item_type, leaf) or _identity),
        )
        return lambda value: [(key(name), item(inner)) for name, inner in value]
    if is_list(arrow_type):
        if (inside := converter(arrow_type.value_type, leaf)) is None:
            return None
        each = _or_null(inside)
        return lambda value: [each(inner) for inner in value]
    return leaf(arrow_type.value_type if pt.is_dictionary(arrow_type) else arrow_type)


def map_leaves(arrow_type: LibraryObject, leaf: Callable[[LibraryObject], LibraryObject]) -> LibraryObject:
    """Replace the leaf types of a nested type; all fields of the result are nullable.

    Args:
        arrow_type: the type.
        leaf: returns the replacement of a leaf type.
    """
    if pt.is_struct(arrow_type):
        return pa.struct([pa.field(field.name, map_leaves(field.type, leaf)) for field in arrow_type])
    if pt.is_map(arrow_type):
        return pa.map_(
            map_leaves(arrow_type.key_type, leaf), map_leaves(arrow_type.item_type, leaf), arrow_type.keys_sorted
        )
    if pt.is_fixed_size_list(arrow_type):
        return pa.list_(map_leaves(arrow_type.value_type, leaf), arrow_type.list_size)
    for fits, list_type in _LISTS.items():
        if fits(arrow_type):
            return list_type(map_leaves(arrow_type.value_type, leaf))
    return leaf(arrow_type)


def leaves(arrow_type: LibraryObject) -> list[LibraryObject]:
    """The leaf types of a nested type, from left to right."""
    leaf_types: list[LibraryObject] = []
    map_leaves(arrow_type, lambda leaf: leaf_types.append(leaf) or leaf)  # type: ignore[func-returns-value]
    return leaf_types


def empty_struct(arrow_type: LibraryObject) -> bool:
    """Whether the type is, or contains, a struct without fields."""
    if pt.is_struct(arrow_type):
        return not arrow_type.num_fields or any(empty_struct(field.type) for field in arrow_type)
    return empty_struct(arrow_type.value_type) if is_list(arrow_type) else False


def is_list(arrow_type: LibraryObject) -> bool:
    """Whether the type is one of Arrow's list types."""
    return bool(pt.is_fixed_size_list(arrow_type)) or any(fits(arrow_type) for fits in _LISTS)


_LISTS = {
    pt.is_list: pa.list_,
    pt.is_large_list: pa.large_list,
    pt.is_list_view: pa.list_view,
    pt.is_large_list_view: pa.large_list_view,
}


def _or_null(convert: Converter) -> Converter:
    return lambda value: None if value is None else convert(value)


def _identity(value: object) -> object:
    return value
