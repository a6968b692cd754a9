"""Append fields to a row's JSON line; the rest of the line keeps its bytes."""

from __future__ import annotations

import json

from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.types import Row

_readable = json.JSONEncoder(
    ensure_ascii=False
).encode  # created once, since json.dumps creates a new encoder at every call


def append_fields(line: bytes, fields: Row) -> bytes:
    """Append fields to the line of a row; the rest of the line keeps its bytes.

    The row is not re-encoded, since that would change the format of its numbers, escapes and whitespace.

    Args:
        line: a row; a missing line break is added.
        fields: at least one field; the row has none of them.

    Raises:
        BadRow: the line is not UTF-8.
    """
    return splice_json(line, to_json(fields))


def splice_json(line: bytes, fields: bytes) -> bytes:
    """Like `append_fields`, with the fields encoded as a JSON object on one line.

    Raises:
        BadRow: the line is not UTF-8.
    """
    body = line.rstrip()
    if not body.endswith(b"}"):  # UTF-16 or UTF-32, which Python's JSON reader detects and accepts
        raise BadRow("the line is not UTF-8")
    comma = b", " if body.lstrip()[1:-1].strip() else b""  # no comma in an empty object
    end = line[len(body) :] if line.endswith(b"\n") else b"\n"
    return body[:-1] + comma + fields[1:-1] + b"}" + end


def to_json(value: object) -> bytes:
    """Encode a value as JSON, without escapes for non-ASCII characters unless a lone surrogate requires them."""
    try:
        return _readable(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
