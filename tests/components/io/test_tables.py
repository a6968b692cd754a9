from __future__ import annotations

import gzip
import json
import random

import pytest
from backports import zstd

from data_juicer_sandbox.components.io.stream import read_rows
from data_juicer_sandbox.errors import JobError


@pytest.fixture
def read(laid):
    return lambda text: list(read_rows(laid("a.csv", text if isinstance(text, bytes) else text.encode())))


def column(read, *cells):
    return [row["x"] for row in read("x,y\n" + "".join(f"{cell},-\n" for cell in cells))]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", "0"], [1, -2, 0]),
        (["1", "", "3"], [1, None, 3]),
        (["007", "1"], ["007", "1"]),
        (["+1", "1"], ["+1", "1"]),
        ([" 1", "1"], [" 1", "1"]),
        (["1_000", "1"], ["1_000", "1"]),
        (["1,5".join('""'), "1"], ["1,5", "1"]),
        (["1", "2.5", "-1e-3"], [1.0, 2.5, -0.001]),
        (["1.50", "2.00"], [1.5, 2.0]),
        ([".5", "1"], [".5", "1"]),
        (["-0", "0"], [-0.0, 0.0]),
        (["nan", "1.0"], ["nan", "1.0"]),
        (["inf", "1.0"], ["inf", "1.0"]),
        (["true", "false", ""], [True, False, None]),
        (["True", "False"], [True, False]),
        (["true", "1"], ["true", "1"]),
        (["2024-01-01", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
        (["NULL", "NA", "null"], ["NULL", "NA", "null"]),
        (["", ""], [None, None]),
        (['""', "a"], ["", "a"]),
        (['""', "1"], ["", "1"]),
        (['"1"', "2"], [1, 2]),
        (["999999999999999999"], [999999999999999999]),
        # What would not come out as it went in stays text.
        (["1234567890123456789", "1"], ["1234567890123456789", "1"]),
        (["12345678901234567", "0.5"], ["12345678901234567", "0.5"]),
        (["1e999", "1"], ["1e999", "1"]),
    ],
)
def test_types_go_by_the_whole_column(read, cells, values):
    found = column(read, *cells)
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_a_column_that_turns_to_text_in_its_last_row(read):
    cells = [f'{number},"{"x" * 1_000}"' for number in range(40_000)]  # more than is read at a time
    assert [row["x"] for row in read("\n".join(["x,y", *cells]))] == list(range(40_000))
    found = [row["x"] for row in read("\n".join(["x,y", *cells, "x1,"]))]
    assert found == [*map(str, range(40_000)), "x1"]


def test_quoted_cells(read):
    text = 'id,text\r\n1,"a, ""b""\nc\r\n\r\nd"\r\n2,é 😀\r\n3,"  "\r\n'
    assert read(text) == [
        {"id": 1, "text": 'a, "b"\nc\r\n\r\nd'},
        {"id": 2, "text": "é 😀"},
        {"id": 3, "text": "  "},
    ]


@pytest.mark.parametrize("text", ["a,b\n1,x", "a,b\n1,x\n", "\ufeffa,b\r\n1,x\r\n", "a,b\n\n1,x\n\n"])
def test_bom_line_ends_and_blank_lines(read, text):
    assert read(text) == [{"a": 1, "b": "x"}]


def test_names_are_texts_whatever_they_are(read):
    assert read('1,"a,b",é\n1,2,3\n') == [{"1": 1, "a,b": 2, "é": 3}]


def test_a_header_alone_has_no_rows(read):
    assert read("a,b\r\n") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1\n", "a.csv:2: expected 2 cells, got 1"),
        ("a,b\n1,2\n1,2,3\n", "a.csv:3: expected 2 cells, got 3"),
        ("a,a\n1,2\n", "two columns have the same name"),
        ("", "Empty CSV file"),
        (b"a,b\n1,\xff\n", "a.csv:2: not UTF-8"),
    ],
)
def test_what_is_no_table(read, text, why):
    with pytest.raises(JobError, match=r"a\.csv") as caught:
        read(text)
    assert why in str(caught.value)


def test_a_cell_of_megabytes(read):
    long = "é, \n" * 1_000_000
    assert read(f'id,text\n1,"{long}"\n2,x\n') == [{"id": 1, "text": long}, {"id": 2, "text": "x"}]


@pytest.mark.parametrize(("packed", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
def test_compressed_tables(laid, packed, pack):
    data = b"n,t\n" + b"".join(b"%d,x%d\n" % (number, number) for number in range(50_000))
    cut = len(data) // 2
    rows = list(read_rows(laid(f"a.csv{packed}", pack(data[:cut]) + pack(data[cut:]))))
    assert rows == [{"n": number, "t": f"x{number}"} for number in range(50_000)]
    noise = random.Random(0)
    data = b"n\n" + b"".join(b"%f\n" % noise.random() for _ in range(50_000))
    with pytest.raises(JobError, match=rf"a\.csv{packed}: the compressed file is damaged or cut off"):
        list(read_rows(laid(f"a.csv{packed}", pack(data)[:-1000])))


def test_numbers_keep_their_value(read):
    noise = random.Random(0)
    numbers = [noise.gauss(0, 1) * 10 ** noise.randint(-30, 14) for _ in range(2_000)]
    assert column(read, *map(json.dumps, numbers)) == numbers
