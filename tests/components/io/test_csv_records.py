from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.csv_records import records
from data_juicer_sandbox.components.io.parse import parse
from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.errors import JobError

cells = st.text(st.sampled_from('ab ",\n\té'), max_size=6)


@given(st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1)))
def test_records_are_those_of_the_standard_library(table):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(table)
    text = stream.getvalue()
    found = list(records(iter(text.encode().splitlines(keepends=True)), b","))
    assert [record.problem for record in found] == [""] * len(table)
    assert b"".join(record.data for record in found).decode() == text
    assert [next(csv.reader(io.StringIO(record.data.decode(), newline=""))) for record in found] == table


def read(path, allowed=0):
    return [(number, parse(line)) for number, line in numbered_lines(path, Allowance(allowed))]


def test_a_quote_that_is_never_closed_is_named_with_its_line(laid):
    rows = "".join(f"{number},x{number}\n" for number in range(4, 500))
    path = laid("d.csv", f'id,text\n1,"a"\n2,"never closed\n{rows}'.encode())
    with pytest.raises(JobError, match=r"d\.csv:3: a quote is opened and never closed"):
        read(path)
    assert [row["id"] for _, row in read(path, allowed=1)] == [1, *range(4, 500)]
    path = laid("d.csv", f'id,text\n1,"a"\n2,"never closed\n{rows}999,"quoted"\n'.encode())
    with pytest.raises(JobError, match=r"d\.csv:3: a quote is opened and never closed"):
        read(path)


def test_bad_rows_are_skipped_as_many_as_are_allowed(laid):
    path = laid("d.csv", b'a,b\n1,2\n1\n\xff,2\n"x\ny",3\n1,2,3\n4,5\n')
    assert read(path, allowed=3) == [(2, {"a": "1", "b": 2}), (5, {"a": "x\ny", "b": 3}), (8, {"a": "4", "b": 5})]
    with pytest.raises(JobError, match=r"d\.csv:7: expected 2 cells, got 3 \(skip_bad_rows: 2 is exceeded\)"):
        read(path, allowed=2)


def test_tab_separated_values(laid):
    path = laid("d.tsv", b'id\ttext\n007\ta,b\n8\t"x\ty"\nNA\tnull\n')
    assert [row for _, row in read(path)] == [
        {"id": "007", "text": "a,b"},
        {"id": "8", "text": "x\ty"},
        {"id": "NA", "text": "null"},
    ]
