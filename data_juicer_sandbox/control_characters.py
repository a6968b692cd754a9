"""Escapes texts of other programs, servers and files before they reach a log, a terminal or a spreadsheet.

An escape sequence could hide or change what the terminal shows, a line break could imitate another log line, and a
spreadsheet would execute a formula.
"""

from __future__ import annotations

_CONTROLS = (
    *(code for code in range(0x20) if code not in (0x09, 0x0A)),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # line breaks, direction
)
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_ESCAPES[0x0D] = "\\r"
_LINE_ESCAPES = {**_ESCAPES, 0x09: "\\t", 0x0A: "\\n"}


def escape_controls(text: str) -> str:
    """The text with every control character as an escape such as `x1b` after a backslash, except tab and line feed."""
    return text if text.isprintable() else text.translate(_ESCAPES)


def one_line(text: str) -> str:
    """Like `escape_controls`, with tabs and line feeds escaped too."""
    return text if text.isprintable() else text.translate(_LINE_ESCAPES)


def log_entry(text: str) -> str:
    """A log message whose further lines are indented, so that none of them looks like a message of its own."""
    return escape_controls(text).rstrip("\n").replace("\n", "\n    ") + "\n"


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> object:
    """A cell that no spreadsheet executes: an apostrophe in front of a text like a formula, unless it is a number."""
    if not isinstance(value, str) or not value.lstrip(" ").startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
