"""Rows out: as JSON lines, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_juicer_sandbox.files import replacing

_encode = json.JSONEncoder(ensure_ascii=False).encode


def write_rows(path: str | Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as jsonl, whole or not at all; returns how many."""
    count = 0
    with replacing(path) as part, part.open("wb") as stream:
        for row in rows:
            stream.write(line(row))
            count += 1
    return count


def line(row: dict[str, Any]) -> bytes:
    """A row as a line of JSON."""
    try:
        return _encode(row).encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can say
        return json.dumps(row).encode() + b"\n"
