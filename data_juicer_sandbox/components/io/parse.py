"""One row: from the bytes of its line to a mapping."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any


class BadRow(ValueError):
    """A line is no row; says why."""


def parse(line: bytes | str) -> dict[str, Any]:
    """The row in a line of JSON.

    Also takes what Python's own JSON writer makes and the standard does not know: NaN and infinities.

    Raises:
        BadRow: it is no JSON, no object, or nested too deeply for Python (about 1,000 levels).
    """
    quick, refusals = _decoder()
    try:
        row = quick(line)
    except refusals:  # NaN, lone surrogates: valid for Python's own, which is slower
        return parse_slowly(line)
    if not isinstance(row, dict):
        raise BadRow(f"a row is a JSON object, not {_kind(row)}")
    return row


def parse_slowly(line: bytes | str, parse_float: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The row in a line, as Python's own JSON reader takes it.

    Raises:
        BadRow: as `parse`.
    """
    try:
        # Not left to json, which takes what has zero bytes for UTF-16.
        text = line if isinstance(line, str) else line.decode("utf-8", "surrogatepass")
        row = json.loads(text, parse_float=parse_float)
    except RecursionError:
        raise BadRow("nested too deeply") from None
    except ValueError as error:  # a UnicodeDecodeError is one too
        raise BadRow(f"not a JSON row: {error}") from error
    if not isinstance(row, dict):
        raise BadRow(f"a row is a JSON object, not {_kind(row)}")
    return row


@cache
def _decoder() -> tuple[Callable[[bytes | str], Any], tuple[type[Exception], ...]]:
    import msgspec  # here, not above: configs are checked without it

    return msgspec.json.Decoder().decode, (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")
