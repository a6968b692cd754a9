"""One row: parse its JSON line, get nested fields, encode it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from data_juicer_sandbox.types import JsonValue, Row

MISSING: Any = object()
"""The result of `get_nested` for a missing value."""
_readable = json.JSONEncoder(ensure_ascii=False).encode  # created once: json.dumps creates an encoder at every call


class BadRow(ValueError):
    """A line is not a valid row; the message says why."""


def parse(line: bytes | str) -> Row:
    """Parse a JSON line as a row.

    NaN and infinities, which Python's JSON writer produces but the standard lacks, are accepted.

    Raises:
        BadRow: the line is not JSON, not an object, or nested too deeply for Python (about 1,000 levels).
    """
    decode, errors = _decoder()
    try:
        row = decode(line)
    except errors:  # NaN, lone surrogates: valid for Python's own parser, which is slower
        return parse_slowly(line)
    if not isinstance(row, dict):
        raise BadRow(f"a row is a JSON object, not {_type_name(row)}")
    return row


def parse_slowly(line: bytes | str, parse_float: Callable[[str], object] | None = None) -> Row:
    """Parse a JSON line with Python's own JSON parser.

    Raises:
        BadRow: like `parse`.
    """
    try:
        # Decoded here, since json.loads takes bytes with zeros for UTF-16.
        text = line if isinstance(line, str) else line.decode("utf-8", "surrogatepass")
        row = json.loads(text, parse_float=parse_float)
    except RecursionError:
        raise BadRow("nested too deeply") from None
    except ValueError as error:  # includes UnicodeDecodeError
        raise BadRow(f"not a JSON row: {error}") from error
    if not isinstance(row, dict):
        raise BadRow(f"a row is a JSON object, not {_type_name(row)}")
    return row


def get_nested(value: JsonValue, keys: list[str]) -> JsonValue:
    """The value at a path of keys (indices in lists), or `MISSING`."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value


def to_json(value: object) -> bytes:
    """Encode a value as JSON, without escapes for non-ASCII characters unless a lone surrogate requires them."""
    try:
        return _readable(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def line(row: Row) -> bytes:
    """Encode a row as a JSON line."""
    return to_json(row) + b"\n"


@cache
def _decoder() -> tuple[Callable[[bytes | str], JsonValue], tuple[type[Exception], ...]]:
    import msgspec  # imported late: config validation does not need it

    return msgspec.json.Decoder().decode, (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def _type_name(value: object) -> str:
    return {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
