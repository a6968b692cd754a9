"""Atomic writer of JSON Lines files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import Row

_encode = json.JSONEncoder(ensure_ascii=False).encode


def write_rows(path: str | Path, rows: Iterable[Row]) -> int:
    """Write rows as jsonl, atomically; returns the number of rows."""
    count = 0
    with replacing(path) as part, part.open("wb") as stream:
        for row in rows:
            stream.write(line(row))
            count += 1
    return count


def line(row: Row) -> bytes:
    """Encode a row as a JSON line."""
    try:
        return _encode(row).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can represent
        return json.dumps(row).encode() + b"\n"
