"""New fields at the end of a row's line; all else stays, byte for byte."""

from __future__ import annotations

import json
from typing import Any

from data_juicer_sandbox.components.io.parse import BadRow

_readable = json.JSONEncoder(ensure_ascii=False).encode  # made once: json.dumps makes a new one at every call


def append_fields(line: bytes, fields: dict[str, Any]) -> bytes:
    """The line of a row with new fields at its end; all else stays, byte for byte.

    The row is never written anew from what was read: that would change how its numbers, escapes and blanks are spelled.

    Args:
        line: a row, with its line end or, the last of a file, without; then it gets one.
        fields: at least one; none of them in the row.

    Raises:
        BadRow: the line is not UTF-8.
    """
    return splice_json(line, to_json(fields))


def splice_json(line: bytes, fields: bytes) -> bytes:
    """As `splice`, the fields written as a JSON object already, on one line.

    Raises:
        BadRow: the line is not UTF-8.
    """
    body = line.rstrip()
    if not body.endswith(b"}"):  # it was read as UTF-16 or -32: Python finds that out by itself
        raise BadRow("the line is not UTF-8")
    comma = b", " if body.lstrip()[1:-1].strip() else b""  # after nothing there is none
    end = line[len(body) :] if line.endswith(b"\n") else b"\n"
    return body[:-1] + comma + fields[1:-1] + b"}" + end


def to_json(value: Any) -> bytes:
    """A value as JSON. Readable, but for a text with half a surrogate pair, which has no UTF-8: that one is escaped."""
    try:
        return _readable(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
