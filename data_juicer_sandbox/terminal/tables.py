"""Layout of tables for a terminal of limited width: numbers are never cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from data_juicer_sandbox.control_characters import one_line
from data_juicer_sandbox.labels import shared_ends
from data_juicer_sandbox.terminal.view import cell, is_number

WIDTH = 100
"""Columns of a file or pipe."""
_GAP = 2
_SHORTEST = 12
"""Characters that a shortened text keeps at least."""
_MIN_SHARED = 8
"""Characters that the texts of a column must share to be written once, above the table."""


@dataclass(frozen=True)
class Layout:
    """A table that was laid out.

    Args:
        title: the title, with lines for what was taken out of the table: columns in which all rows are equal, and what
            all texts of a column begin with.
        columns: the remaining columns.
        rows: their cells as text.
        is_right: for each column whether it is aligned right, which numbers are.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_right: tuple[bool, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each column."""
        return tuple(max(map(len, texts)) for texts in zip(self.columns, *self.rows, strict=True))

    def lines(self) -> list[str]:
        """The table as lines, with its title."""
        texts = [self.columns, tuple("-" * width for width in self.widths), *self.rows]
        return [
            self.title,
            *(
                (" " * _GAP)
                .join(
                    text.rjust(width) if is_right else text.ljust(width)
                    for text, width, is_right in zip(line, self.widths, self.is_right, strict=True)
                )
                .rstrip()
                for line in texts
            ),
        ]


def lay_out(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], width: int, gap: int = _GAP
) -> Layout:
    """Fit a table into a width. A table that fits is not changed.

    First columns in which all rows are equal go into a line below the title, then the common start of long texts; then
    the longest texts are shortened in the middle. Numbers and columns of numbers are never shortened.

    Args:
        title: the title.
        columns: the names of the columns.
        rows: the values.
        width: the number of characters of a line.
        gap: the number of characters between two columns.
    """
    numeric = [
        bool(rows) and all(is_number(row[index]) or row[index] is None for row in rows) for index in range(len(columns))
    ]
    texts = [[cell(row[index]) for row in rows] for index in range(len(columns))]
    title, names, notes = one_line(title), list(map(one_line, columns)), []

    def is_too_wide() -> bool:
        widths = [max(map(len, [name, *column])) for name, column in zip(names, texts, strict=True)]
        return sum(widths) + gap * (len(widths) - 1) > width

    if is_too_wide() and len(rows) > 1:
        constant = [index for index, column in enumerate(texts) if len(set(column)) == 1]
        if len(constant) < len(texts):
            equal = [f"{names[index]}: {texts[index][0]}".removeprefix(": ") for index in constant if texts[index][0]]
            folded = f"in all rows: {'; '.join(equal)}"
            notes += wrap(folded, width, initial_indent="  ", subsequent_indent="    ") if equal else []
            for index in reversed(constant):
                del names[index], texts[index], numeric[index]
    if is_too_wide():
        for index, column in enumerate(texts):
            start, _ = shared_ends(list(dict.fromkeys(column)), "_/.-")
            if not numeric[index] and start >= _MIN_SHARED:
                notes.append(f"  {names[index]}: {column[0][:start]}...")
                texts[index] = [text[start:] for text in column]
    limit = max((len(text) for column in texts for text in column), default=0)
    while limit > _SHORTEST and is_too_wide():
        limit -= 1
        for index, column in enumerate(texts):
            if not numeric[index]:
                texts[index] = [shortened(text, limit) for text in column]
    cells = tuple(zip(*texts, strict=True)) if rows else ()
    return Layout("\n".join([title, *notes]), tuple(names), cells, tuple(numeric))


def shortened(text: str, limit: int) -> str:
    """A text of at most `limit` characters, with an ellipsis in the middle."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"
