"""`training.json`: what a model folder tells about its making, and whether it is the one that is wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xxhash

from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.secrets import mask

NAME = "training.json"


def write(folder: Path, wanted: dict[str, Any], trained: dict[str, Any]) -> None:
    """Put the record into a model folder: what was asked for, what came of it, the fingerprint. No times, no secrets.

    Args:
        folder: the model's.
        wanted: everything that decides what the weights are: data, parameters, seed.
        trained: figures that came out.
    """
    content = {"fingerprint": fingerprint(wanted), **mask(wanted), **trained}
    (folder / NAME).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: str | Path) -> dict[str, Any]:
    """The record of a model folder; empty where there is none."""
    try:
        content = loads((Path(folder) / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def complete(folder: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The record of a model that was made of just this; empty where the folder is not there or was made of other
    things.

    A folder appears by rename, so one that is there is whole.
    """
    found = read(folder)
    return found if found.get("fingerprint") == fingerprint(wanted) else {}


def fingerprint(wanted: dict[str, Any]) -> str:
    """128-bit XXH3 of the wish, in hex."""
    return str(xxhash.xxh3_128_hexdigest(json.dumps(wanted, sort_keys=True).encode()))
