"""Plain values (what JSON can express): parsing, flattening, the strings in them, and fingerprints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import xxhash


def loads(text: str | bytes) -> Any:
    """The value of a JSON text, like `json.loads`.

    Raises:
        ValueError: it is not JSON, or nested too deeply for Python (about 1,000 levels).
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def flatten(value: object, path: str = "", *, keep_empty: bool = False) -> Iterator[tuple[str, Any]]:
    """The values inside nested mappings, lists and tuples, by their dotted paths (`outer.inner.0`).

    Args:
        value: the value; the path of a value that is not nested is `path`.
        path: put in front of all paths.
        keep_empty: whether empty mappings and lists are values; otherwise they are omitted.
    """
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        yield path, value
        return
    if not items and keep_empty:
        yield path, value
    for key, item in items:
        yield from flatten(item, f"{path}.{key}" if path else key, keep_empty=keep_empty)


def texts(value: object) -> Iterator[str]:
    """Every string inside nested mappings, lists and tuples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def fingerprint(value: object) -> str:
    """128-bit XXH3 of a plain value as JSON, in hex; the order of keys does not matter."""
    return str(xxhash.xxh3_128_hexdigest(json.dumps(value, sort_keys=True, default=repr).encode()))
