"""Append, replace, add and remove fields of a row's JSON line; the rest of the line keeps its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NamedTuple

from data_juicer_sandbox.components.io.parse import BadRow, to_json
from data_juicer_sandbox.types import JsonValue, Row

_decode = json.JSONDecoder().raw_decode
_blank = re.compile(r"[ \t\r\n]*").match


class _Member(NamedTuple):
    """One field in a line: its name, where it starts, and where its value starts and ends."""

    name: str
    start: int
    value: int
    end: int


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


def edit_fields(line: bytes, values: Mapping[str, JsonValue], removed: Collection[str] = ()) -> bytes:
    """Set fields of a row to new values and remove others; everything else keeps its bytes.

    A field that the row lacks is appended. If the line names a field several times, each occurrence is replaced or
    removed, since readers differ in which one they take.

    Args:
        line: a row, with or without a line break.
        values: the new values.
        removed: fields to remove; none of them is in `values`.

    Raises:
        BadRow: the line is not UTF-8, or not a JSON object.
    """
    present: set[str] = set()
    names = values.keys() | set(removed)
    if any(_may_contain(line, name) for name in names):
        text = _text(line)
        try:
            members = list(_members(text))
        except (ValueError, IndexError, RecursionError) as error:
            raise BadRow(f"not a JSON row: {error}") from error
        present = {member.name for member in members}
        if not present.isdisjoint(names):
            line = _edited(text, members, values, removed).encode("utf-8", "surrogatepass")
    added = {name: value for name, value in values.items() if name not in present}
    return splice_json(line, to_json(added)) if added else line if line.endswith(b"\n") else line + b"\n"


def _may_contain(line: bytes, name: str) -> bool:
    """Whether the line may have the field; an escape may hide its name."""
    return b"\\" in line or to_json(name)[1:-1] in line


def _edited(text: str, members: list[_Member], values: Mapping[str, JsonValue], removed: Collection[str]) -> str:
    kept = [member for member in members if member.name not in removed]
    if not kept:
        first, last = members[0], members[-1]
        return text[: first.start] + text[last.end :]
    parts = [text[: members[0].start]]
    for number, member in enumerate(kept):
        if number:
            # What separates a field from the one before it in the line: a comma, with or without whitespace.
            before = members[members.index(member) - 1]
            parts.append(text[before.end : member.start])
        new = to_json(values[member.name]).decode() if member.name in values else text[member.value : member.end]
        parts.append(text[member.start : member.value] + new)
    return "".join(parts) + text[members[-1].end :]


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise BadRow("the line is not UTF-8") from error


def _members(text: str) -> Iterator[_Member]:
    position = _skip(text, 0)
    if text[position] != "{":
        raise ValueError("not an object")
    position = _skip(text, position + 1)
    while text[position] != "}":
        if text[position] != '"':
            raise ValueError(f"expected a field at character {position}")
        start = position
        name, position = scanstring(text, position + 1)
        position = _skip(text, position)
        if text[position] != ":":
            raise ValueError(f"expected ':' at character {position}")
        value = _skip(text, position + 1)
        _, end = _decode(text, value)
        yield _Member(name, start, value, end)
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    match = _blank(text, position)
    return match.end() if match else position
