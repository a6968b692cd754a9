"""Convert a value of a config to the type of a parameter, with `msgspec`."""

from __future__ import annotations

import inspect
import math
import os
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import shorten, shown
from data_juicer_sandbox.types import JsonValue, LibraryObject

_MAX_TEXT = 1 << 20
"""Characters of a text that may stand for a value of another type."""
_BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
_CONVERTED = (int, float, str, os.PathLike)
"""Base classes of types that are created from a plain value: a restricted number of jsonargparse, a `Path`."""


class ConversionError(ValueError):
    """A value does not have the type; the message names both."""


def convert(value: object, hint: object, name: str = "") -> LibraryObject:
    """Convert a value to a type.

    A text is read as YAML where the type takes no text: "5" for an int, "[a, b]" for a list. NumPy scalars become plain
    numbers. Nothing else is converted but a whole number to a float: 1 is not a boolean, and 3.0 is not an int.

    Args:
        value: the value as a config, an earlier job or a caller gave it.
        hint: the type, which may be a union or have `msgspec.Meta` bounds.
        name: the name of the parameter, so that the value of a secret is not shown.

    Raises:
        ConversionError: the value does not fit.

    Example:
        >>> convert("[1, 2]", list[int])
        [1, 2]
        >>> convert("many", int)
        Traceback (most recent call last):
            ...
        data_juicer_sandbox.type_conversion.ConversionError: expected int, got 'many'
    """
    plain = _without_numpy(value)
    try:
        return _convert(plain, hint)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        reason = _nested_reason(error)
    if isinstance(plain, str):
        try:
            return _convert(_read_text(plain), hint)
        except (msgspec.ValidationError, ConfigError, TypeError, ValueError) as error:
            reason = error.what if isinstance(error, ConfigError) else ""
    elif isinstance(plain, (list, dict)):
        try:
            return _convert(_with_read_texts(plain), hint)
        except (msgspec.ValidationError, ConfigError, TypeError, ValueError):
            pass
    described = "null" if value is None else shown(value, key=name)
    raise ConversionError(f"expected {spell(hint)}, got {described}" + (f" ({reason})" if reason else ""))


def has_type(value: object, hint: object) -> bool:
    """Whether a value has a type without any conversion of texts."""
    try:
        _convert(value, hint)
    except (msgspec.ValidationError, TypeError, ValueError):
        return False
    return True


def spell(hint: object) -> str:
    """A type as a person writes it: `list[str] | null`, `int >= 1`, `0 < float < 1`."""
    if hint is type(None):
        return "null"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _spell_bounds(spell(arguments[0]), arguments[1:])
    if origin is Literal:
        return " | ".join(repr(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(spell(choice) for choice in arguments)
    if origin is not None:
        return f"{getattr(origin, '__name__', origin)}[{', '.join(map(spell, arguments))}]"
    return getattr(hint, "__name__", str(hint))


def _spell_bounds(base: str, notes: tuple[object, ...]) -> str:
    bounds = [(sign, getattr(note, key)) for note in notes if isinstance(note, msgspec.Meta) for key, sign in _BOUNDS]
    lower = next(((sign, bound) for sign, bound in bounds if bound is not None and sign.startswith(">")), None)
    upper = next(((sign, bound) for sign, bound in bounds if bound is not None and sign.startswith("<")), None)
    if lower and upper:
        return f"{lower[1]} {lower[0].replace('>', '<')} {base} {upper[0]} {upper[1]}"
    return f"{base} {' '.join(map(str, lower or upper or ()))}".rstrip()


def _convert(value: object, hint: object) -> LibraryObject:
    """A value as `msgspec` converts it; the members of a union one after the other, which `msgspec` restricts."""
    if hint in (Any, object, inspect.Parameter.empty):
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        errors: list[Exception] = []
        for choice in sorted(arguments, key=lambda choice: choice is float):  # 1 stays an int for `float | int`
            try:
                return _convert(value, choice)
            except (msgspec.ValidationError, TypeError, ValueError) as error:
                errors.append(error)
        raise max(errors, key=lambda error: len(_nested_reason(error)))
    if origin is Literal and any(type(value) is type(choice) and value == choice for choice in arguments):
        return value
    if isinstance(value, float) and not math.isfinite(value) and _has_bounds(hint):
        raise ValueError("not a finite number")
    return msgspec.convert(value, hint, dec_hook=_create)


def _has_bounds(hint: object) -> bool:
    """Whether a type is a number with bounds: a time limit or a share is finite, even if it has no upper bound."""
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return any(getattr(note, key, None) is not None for note in notes for key, _ in _BOUNDS)


def _create(hint: LibraryObject, value: object) -> object:
    """Create an object of a type that `msgspec` does not know."""
    if isinstance(value, hint):
        return value
    if issubclass(hint, _CONVERTED) and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return hint(value)
    raise TypeError


def _nested_reason(error: Exception) -> str:
    """Where in a list or mapping the wrong value is, as `msgspec` says it; empty for a plain value."""
    text = str(error)
    return shorten(text, 200, "...") if isinstance(error, msgspec.ValidationError) and " - at `$" in text else ""


def _without_numpy(value: LibraryObject) -> LibraryObject:
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value


def _read_text(text: str) -> JsonValue:
    """The value that a text stands for as YAML.

    Raises:
        ConfigError: it is not YAML, or too large.
    """
    if len(text) > _MAX_TEXT:
        raise ConfigError(f"a text of {len(text):,} characters")
    return parse(text, "its text").value


def _with_read_texts(value: object) -> JsonValue:
    """A list or mapping in which texts that stand for numbers or booleans are these."""
    if isinstance(value, str):
        read = _read_text(value) if len(value) < 100 else value
        return read if isinstance(read, (bool, int, float)) else value
    if isinstance(value, list):
        return [_with_read_texts(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _with_read_texts(item) for key, item in value.items()}
    return value


def unpack_annotation(hint: object) -> tuple[LibraryObject, list[object]]:
    """A type without its notes such as `Role`, and these notes; also those inside a union with None."""
    if get_origin(hint) is Annotated:
        base, *notes = get_args(hint)
        metas = tuple(note for note in notes if isinstance(note, msgspec.Meta))
        others = [note for note in notes if not isinstance(note, msgspec.Meta)]
        return (Annotated[(base, *metas)] if metas else base), others
    if get_origin(hint) in (Union, types.UnionType):
        parts = [unpack_annotation(choice) for choice in get_args(hint)]
        return Union[tuple(part for part, _ in parts)], [note for _, notes in parts for note in notes]  # noqa: UP007
    return hint, []
