from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.components.io.json_list import list_lines
from data_juicer_sandbox.components.io.stream import read_rows
from data_juicer_sandbox.errors import JobError

ODD = [
    {"text": 'a "quoted" \\ [1, 2], {"x": 1}\n\r\t\u2028 é 😀 \ud800', "n": [[], {}, [{"a": [None, True]}]]},
    {},
    {"big": 10**40, "f": -1.5e-300, "nan": float("inf"), ",]}": "]"},
    {"deep": {"er": {"still": [{"x": [[[1]]]}]}}},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def entries(data: bytes, chunk: int = 1 << 20):
    return list(list_lines(io.BytesIO(data), Path("a.json"), chunk))


@pytest.mark.parametrize("indent", [None, 1, "\t"])
@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
def test_every_entry_is_a_line(indent, escaped, chunk):
    rows = ODD if escaped else json.loads(json.dumps(ODD).replace("\\ud800", ""))
    data = json.dumps(rows, indent=indent, ensure_ascii=escaped).encode()
    found = entries(data, chunk)
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [json.loads(line) for _, line in found] == rows
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") and b"\r" not in line for _, line in found)


def test_entries_stay_as_they_are_written_but_for_line_breaks():
    data = b'\xef\xbb\xbf \r\n[ {"a":1.00 ,\r\n\t"b" : "\\u00e9\\n \xc3\xa9"} ,{"c":1e5}\n]\n'
    assert entries(data) == [(1, b'{"a":1.00 , \t"b" : "\\u00e9\\n \xc3\xa9"}\n'), (2, b'{"c":1e5}\n')]


@pytest.mark.parametrize("data", [b"[]", b" [ \n ] \r\n", b"\xef\xbb\xbf[]"])
def test_an_empty_list(data):
    assert entries(data) == []


@settings(deadline=None)
@given(st.lists(JSON, max_size=6), st.integers(1, 40), st.sampled_from([None, 0, 3]), st.booleans())
def test_whatever_the_entries_and_wherever_the_chunks_end(rows, chunk, indent, escaped):
    data = json.dumps(rows, indent=indent, ensure_ascii=escaped).encode("utf-8")
    assert [json.loads(line) for _, line in entries(data, chunk)] == rows


@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_numbers_and_words_over_the_end_of_a_chunk(chunk):
    data = b"[1.5, -2e+10, 1e5,10, -Infinity,NaN , true, null,0]"
    written = [b"1.5", b"-2e+10", b"1e5", b"10", b"-Infinity", b"NaN", b"true", b"null", b"0"]
    assert [line.strip() for _, line in entries(data, chunk)] == written


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_cut_off_anywhere_is_told(indent):
    data = json.dumps([*ODD, {"é": "😀"}], indent=indent, ensure_ascii=False).replace("\ud800", "").encode()
    for size in range(len(data)):
        with pytest.raises(JobError, match=r"a\.json: "):
            entries(data[:size])


@settings(deadline=None)
@given(st.lists(JSON, min_size=1, max_size=4), st.data())
def test_a_list_cut_off_is_told_whatever_it_holds(rows, data):
    whole = json.dumps(rows, ensure_ascii=False).encode()
    with pytest.raises(JobError):
        entries(whole[: data.draw(st.integers(0, len(whole) - 1))], data.draw(st.integers(1, 30)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[1, 2] x", "unexpected text after the end of the list"),
        (b"[1][2]", "unexpected text after the end of the list"),
        (b"[1 2]", "expected ',' after entry 1, got '2'"),
        (b"[1;2]", "expected ',' after entry 1, got ';'"),
        (b"[1, ]", "entry 2 is not valid JSON"),
        (b"[, 1]", "entry 1 is not valid JSON"),
        (b"[{'a': 1}]", "entry 1 is not valid JSON"),
        (b'[{"a": 1}, {"b": 01}]', "entry 2 is not valid JSON"),
        (b'[{"a": "x\ny"}]', "entry 1 is not valid JSON: Invalid control character"),
        (b"[1}", "expected ',' after entry 1, got '}'"),
        (b"[1", "expected ',' after entry 1, got the end of the file"),
        (b'{"a": [1]}', "expected '[' at the start, got '{'"),
        (b"", "expected '[' at the start, got the end of the file"),
        (b'["\xff"]', "not UTF-8"),
        (b'["\xc3', "not UTF-8"),
        (b"[" * 100_000, "entry 1 is nested too deeply"),
    ],
)
def test_what_is_no_list(data, why):
    with pytest.raises(JobError, match=r"^a\.json: ") as caught:
        entries(data)
    assert why in str(caught.value)


class Long(io.RawIOBase):
    """A list of 50 MB that is never in memory."""

    def __init__(self, entry: bytes, times: int):
        self.entry, self.times, self.rest, self.given = entry, times, b"[", 0

    def readable(self):
        return True

    def readinto(self, into):
        if not self.rest and self.times:
            self.times -= 1
            self.rest = self.entry + (b"," if self.times else b"]")
        size = min(len(into), len(self.rest))
        into[:size], self.rest = self.rest[:size], self.rest[size:]
        self.given += size
        return size


def peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_list_needs_the_memory_of_its_entries_only():
    stream = Long(json.dumps({"text": "x" * 50_000, "n": 1}).encode(), 1_000)
    counts = []
    used = peak(lambda: counts.append(sum(1 for _ in list_lines(io.BufferedReader(stream), Path("a.json")))))
    assert counts == [1_000]
    assert stream.given > 50e6
    assert used < 8e6


def test_an_entry_larger_than_a_chunk(laid):
    rows = [{"a": 1}, {"text": "é\n" * 2_000_000, "b": ["x"]}, {"c": 1}]
    assert list(read_rows(laid("a.json", json.dumps(rows).encode()))) == rows


def test_a_fault_at_the_start_is_told_without_reading_on():
    stream = Long(b'{"a": 1} {"text": "' + b"x" * 50_000 + b'"}', 1_000)
    with pytest.raises(JobError, match="expected ',' after entry 1"):
        list(list_lines(io.BufferedReader(stream), Path("a.json")))
    wrong = Long(b'{"a" 1, "text": "' + b"x" * 50_000 + b'"}', 1_000)
    with pytest.raises(JobError, match="entry 1 is not valid JSON: Expecting ':' delimiter"):
        list(list_lines(io.BufferedReader(wrong), Path("a.json")))
    assert stream.given < 4e6
    assert wrong.given < 4e6


def test_rows_of_a_list_that_are_none_are_told_by_their_number(laid):
    path = laid("a.json", b'[{"a": 1},\n [1], 5]')
    rows = read_rows(path)
    assert next(rows) == {"a": 1}
    with pytest.raises(JobError, match=r"a\.json:2: a row is a JSON object, not a list"):
        next(rows)
