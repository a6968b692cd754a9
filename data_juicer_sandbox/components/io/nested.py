"""Arrow types that hold others: what is done to the deepest is done to the whole.

Imports Arrow, so this module is imported inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

Way = Callable[[Any], Any]
"""From one value, which is not null, to another."""


def converter(kind: Any, leaf: Callable[[Any], Way | None]) -> Way | None:
    """How the values of a type change where those deepest within them do.

    Args:
        kind: the type.
        leaf: the way for a type that holds no others; None where its values stay as they are.

    Returns:
        None where nothing changes. Maps come as pairs and become a list of pairs (tuples, as Arrow wants them).
    """
    if pt.is_struct(kind):
        ways = {field.name: _or_null(inner) for field in kind if (inner := converter(field.type, leaf))}
        return (lambda value: {**value, **{name: to(value.get(name)) for name, to in ways.items()}}) if ways else None
    if pt.is_map(kind):
        key, item = converter(kind.key_type, leaf) or _same, _or_null(converter(kind.item_type, leaf) or _same)
        return lambda value: [(key(name), item(inner)) for name, inner in value]
    if is_list(kind):
        if (inside := converter(kind.value_type, leaf)) is None:
            return None
        each = _or_null(inside)
        return lambda value: [each(inner) for inner in value]
    return leaf(kind.value_type if pt.is_dictionary(kind) else kind)


def rebuilt(kind: Any, leaf: Callable[[Any], Any]) -> Any:
    """A type with those deepest within it changed; all values in it may be null then.

    Args:
        kind: the type.
        leaf: gives a new type for one that holds no others.
    """
    if pt.is_struct(kind):
        return pa.struct([pa.field(field.name, rebuilt(field.type, leaf)) for field in kind])
    if pt.is_map(kind):
        return pa.map_(rebuilt(kind.key_type, leaf), rebuilt(kind.item_type, leaf), kind.keys_sorted)
    if pt.is_fixed_size_list(kind):
        return pa.list_(rebuilt(kind.value_type, leaf), kind.list_size)
    for fits, make in _LISTS.items():
        if fits(kind):
            return make(rebuilt(kind.value_type, leaf))
    return leaf(kind)


def leaves(kind: Any) -> list[Any]:
    """The types deepest within a type, from left to right."""
    found: list[Any] = []
    rebuilt(kind, lambda leaf: found.append(leaf) or leaf)  # type: ignore[func-returns-value]
    return found


def empty_struct(kind: Any) -> bool:
    """Whether it is, or holds, a struct without fields."""
    if pt.is_struct(kind):
        return not kind.num_fields or any(empty_struct(field.type) for field in kind)
    return empty_struct(kind.value_type) if is_list(kind) else False


def is_list(kind: Any) -> bool:
    """Whether it is one of Arrow's types of lists."""
    return bool(pt.is_fixed_size_list(kind)) or any(fits(kind) for fits in _LISTS)


_LISTS = {
    pt.is_list: pa.list_,
    pt.is_large_list: pa.large_list,
    pt.is_list_view: pa.list_view,
    pt.is_large_list_view: pa.large_list_view,
}


def _or_null(to: Way) -> Way:
    return lambda value: None if value is None else to(value)


def _same(value: Any) -> Any:
    return value
