"""Refuse rows that are nested too deeply, before Data-Juicer reads them: Arrow crashes the process on such rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from data_juicer_sandbox.components.io.data_files import COMPRESSED, file_format
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.errors import JobError, Where

MAX_DEPTH = 500
"""Maximum nesting depth of lists and objects. Arrow supports a few thousand levels, fewer in threads."""
_ENDINGS = (".jsonl", ".ndjson", ".json")
_SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)


def refuse_deep_rows(path: str | Path) -> None:
    """Check the nesting depth of every row in the JSON files of a data set.

    Args:
        path: a file or a folder; files of other formats are not checked.

    Raises:
        JobError: a row is nested more than `MAX_DEPTH` levels deep; names file and line.
    """
    for file in _json_files(Path(path)):
        for number, line in numbered_lines(file):
            # Counting brackets is fast, and excludes almost all lines from the exact check.
            if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(line) > MAX_DEPTH:
                what = f"a row that is nested more than {MAX_DEPTH} levels deep"
                raise JobError(what, where=Where(str(file), number), hint="remove it, or keep that part as a text")


def _json_files(path: Path) -> Iterator[Path]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        name = file.name
        for packed in COMPRESSED:
            name = name.removesuffix(packed)
        if name.endswith(_ENDINGS) and file.is_file() and file_format(file) in ("jsonl", "json"):
            yield file


def _depth(line: bytes) -> int:
    """The nesting depth of the lists and objects of a line; brackets inside strings do not count."""
    deepest = depth = 0
    for match in _SIGNS.finditer(line):
        sign = match[0]
        if sign in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif sign in (b"]", b"}"):
            depth -= 1
    return deepest
