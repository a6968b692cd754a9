"""JSON with the line of every value, for config files: surrogate pairs and long keys are read as JSON has them."""

from __future__ import annotations

import re
from bisect import bisect_right
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]

from data_juicer_sandbox.config.limits import MAX_DIGITS, MAX_VALUES
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.types import JsonValue

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None, "NaN": float("nan"), "Infinity": float("inf")}
_WORD = re.compile(r"-?[A-Za-z]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJson(Exception):
    """A text is not JSON; says where and why."""

    def __init__(self, what: str, line: int):
        super().__init__(what)
        self.line = line


def parse_json(text: str, file: str, max_depth: int) -> tuple[JsonValue, dict[tuple[str | int, ...], int]]:
    """Read a JSON text.

    Args:
        text: the text.
        file: its file, for errors.
        max_depth: how many lists and objects may be nested.

    Returns:
        the value, and the line of each key and list item by its path.

    Raises:
        NotJson: it is not JSON.
        ConfigError: it is JSON that no config may hold: a key twice, half of a surrogate pair, nested too
            deeply, or too many values.
    """
    return _Reader(text, file, max_depth).read()


class _Reader:
    def __init__(self, text: str, file: str, max_depth: int):
        self._text, self._file, self._max_depth = text, file, max_depth
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._at = 0
        self._count = 0
        self._lines: dict[tuple[str | int, ...], int] = {}

    def read(self) -> tuple[JsonValue, dict[tuple[str | int, ...], int]]:
        value = self._value((), 0)
        if self._peek():
            raise self._not_json("extra data after the value")
        return value, self._lines

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)

    def _not_json(self, what: str) -> NotJson:
        return NotJson(what, self._line())

    def _refuse(self, what: str) -> ConfigError:
        return ConfigError(what, where=Where(self._file, self._line()))

    def _peek(self) -> str:
        self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing too
        return self._text[self._at : self._at + 1]

    def _take(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._not_json(f"{sign!r} is missing")
        self._at += 1

    def _value(self, path: tuple[str | int, ...], depth: int) -> JsonValue:
        sign = self._peek()
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._refuse(f"more than {MAX_VALUES:,} values")
        self._lines.setdefault(path, self._line())
        if sign == '"':
            return self._string()
        if sign in ("{", "[") and depth >= self._max_depth:
            raise self._refuse(f"nested more than {self._max_depth} levels deep")
        if sign == "{":
            return self._object(path, depth)
        if sign == "[":
            return self._list(path, depth)
        return self._number_or_word()

    def _string(self) -> str:
        try:
            value, end = scanstring(self._text, self._at + 1, True)
        except JSONDecodeError as error:
            raise self._not_json(error.msg) from error
        if _SURROGATE.search(value):
            raise self._refuse("the text contains half of a surrogate pair, which is not a character")
        self._at = end
        return str(value)

    def _object(self, path: tuple[str | int, ...], depth: int) -> dict[str, JsonValue]:
        pairs: dict[str, JsonValue] = {}
        self._take("{")
        sign = self._peek()
        while sign != "}":
            if pairs:
                self._take(",")
                sign = self._peek()
            if sign != '"':
                raise self._not_json("a key is missing")
            line = self._line()
            key = self._string()
            if key in pairs:
                first = self._lines[(*path, key)]
                what = f"duplicate key {key!r} (first on line {first})"
                raise ConfigError(what, where=Where(self._file, line))
            self._lines[(*path, key)] = line
            self._take(":")
            pairs[key] = self._value((*path, key), depth + 1)
            sign = self._peek()
        self._at += 1
        return pairs

    def _list(self, path: tuple[str | int, ...], depth: int) -> list[JsonValue]:
        items: list[JsonValue] = []
        self._take("[")
        while self._peek() != "]":
            if items:
                self._take(",")
            items.append(self._value((*path, len(items)), depth + 1))
        self._take("]")
        return items

    def _number_or_word(self) -> JsonValue:
        number = _NUMBER.match(self._text, self._at)
        if number:
            digits = number[0]
            if number[1] or number[2]:
                value: float = float(digits)
            elif len(digits) > MAX_DIGITS:
                raise self._refuse(f"an integer of {len(digits):,} digits")
            else:
                value = int(digits)
            self._at = number.end()
            return value
        word = _WORD.match(self._text, self._at)
        text = word[0] if word else ""
        if text.lstrip("-") not in _WORDS or (text.startswith("-") and text != "-Infinity"):
            raise self._not_json("a value is missing")
        self._at += len(text)
        return -_WORDS["Infinity"] if text == "-Infinity" else _WORDS[text]  # type: ignore[operator]
