"""Tables fit into a line, and numbers are never cut."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.terminal.plain_view import PlainView
from data_juicer_sandbox.terminal.rich_view import RichView
from data_juicer_sandbox.terminal.tables import lay_out
from data_juicer_sandbox.terminal.view import cell

COLUMNS = ["model", "dataset", "train_dataset", "train_tokens", "seed", "loss", "bits_per_byte", "documents"]
ROWS = [
    [f"outputs/tutorial/models/docs_{pool}_seed{seed}", "heldout", f"docs_{pool}", 12000, seed, 2.5, 3.1 + seed, 10]
    for pool in ("text_len_0", "special_characters_ratio_1", "control")
    for seed in (1, 2)
]


def test_a_table_that_fits_is_not_changed():
    layout = lay_out("t", ["a", "b"], [["x", 1], ["x", 2]], 20)
    assert layout.lines() == ["t", "a  b", "-  -", "x  1", "x  2"]


def test_constant_columns_and_common_starts_are_written_once():
    layout = lay_out("scores", COLUMNS, ROWS, 120)
    equal = "  in all rows: dataset: heldout; train_tokens: 12000; loss: 2.5; documents: 10"
    assert layout.title.splitlines() == ["scores", equal]
    assert layout.columns == ("model", "train_dataset", "seed", "bits_per_byte")
    narrow = lay_out("scores", COLUMNS, ROWS, 70)
    assert "  model: outputs/tutorial/models/docs_..." in narrow.title.splitlines()
    assert max(map(len, narrow.lines()[3:])) <= 70
    assert [row[-1] for row in narrow.rows] == ["4.1", "5.1"] * 3


VALUES = st.one_of(st.integers(), st.floats(allow_nan=False), st.text("abc_/.", max_size=60), st.none(), st.booleans())


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(VALUES, min_size=n, max_size=n), max_size=5)))
def test_numbers_are_never_cut(rows):
    columns = [f"c{index}" for index in range(len(rows[0]) if rows else 2)]
    layout = lay_out("t", columns, rows, 40)
    assert len(layout.rows) == len(rows)
    for index, name in enumerate(layout.columns):
        if layout.is_right[index]:
            assert [row[index] for row in layout.rows] == [cell(row[columns.index(name)]) for row in rows]
    for position, name in enumerate(columns):
        assert name in layout.columns or len({cell(row[position]) for row in rows}) == 1


@pytest.mark.parametrize("cls", [PlainView, RichView])
def test_the_metric_is_in_every_row_of_a_view(cls, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    view = cls(io.StringIO())
    view.table("scores", COLUMNS, ROWS)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", view.stream.getvalue())
    assert len(re.findall(r"\b[45]\.1\b", text)) == len(ROWS)
    assert max(map(len, text.splitlines())) <= 100
