from __future__ import annotations

import gzip
import json

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.components.io import read_lines, read_rows, write_rows
from data_juicer_sandbox.errors import JobError

TEXT = st.text(st.characters(exclude_categories=()))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
ROWS = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=8)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_rows_come_back_as_they_were_written(tmp_path, rows):
    path = tmp_path / "a.jsonl"  # replaced each time
    assert write_rows(path, rows) == len(rows)
    assert list(read_rows(path)) == rows
    assert list(read_rows(str(path))) == rows
    lines = list(read_lines(path))
    assert b"".join(lines) == path.read_bytes()
    assert len(lines) == len(rows)


def test_what_is_written_is_utf8_and_readable(tmp_path):
    rows = [{"text": "é 😀\u2028\x85\n"}, {"text": "\ud800 é"}]
    write_rows(tmp_path / "a.jsonl", rows)
    text = (tmp_path / "a.jsonl").read_bytes().decode("utf-8")
    assert text == '{"text": "é 😀\u2028\x85\\n"}\n{"text": "\\ud800 \\u00e9"}\n'


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.jsonl"
    write_rows(path, [{"old": 1}])

    def rows():
        yield {"new": 1}
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        write_rows(path, rows())
    assert list(read_rows(path)) == [{"old": 1}]
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_folder_of_all_formats_is_one_data_set(laid, tmp_path):
    laid("0.jsonl", b'{"n": 0}')  # without a line end: the next file's first row is a row of its own
    laid("1.json", b'[{"n": 1}]')
    laid("2.csv", b"n\n2\n")
    laid("3.jsonl.gz", gzip.compress(b'{"n": 3}\n'))
    laid("4.json.zst", zstd.compress(b'[{"n": 4}]'))
    laid("5.ndjson", b'\n{"n": 5}\n\n')
    assert [row["n"] for row in read_rows(tmp_path)] == [0, 1, 2, 3, 4, 5]
    assert [row["n"] for row in read_rows(tmp_path / "[1-4].*")] == [1, 2, 3, 4]
    assert [json.loads(line) for line in read_lines(tmp_path)] == list(read_rows(tmp_path))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_bad_rows_are_told_by_file_and_line(laid, name):
    pack = {".gz": gzip.compress, ".zst": zstd.compress}.get(name[-4:].lstrip("l"), bytes)
    path = laid(name, pack(b'\xef\xbb\xbf{"a": 1}\n\n\r\n{"b": 2}\n[3]\n'))
    rows = read_rows(path)
    assert [next(rows), next(rows)] == [{"a": 1}, {"b": 2}]
    with pytest.raises(JobError, match=rf"{name}:5: a row is a JSON object, not a list"):
        next(rows)


def test_invalid_utf8_is_told(laid):
    with pytest.raises(JobError, match=r"a\.jsonl:2: not a JSON row: .*utf-8"):
        list(read_rows(laid("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n')))


def test_lines_that_are_no_rows_pass_as_lines(laid):
    assert list(read_lines(laid("a.jsonl", b'{"a": 1}\nno row\n\n[1]'))) == [b'{"a": 1}\n', b"no row\n", b"[1]"]


def test_nothing_is_read_before_it_is_asked_for(laid):
    rows = read_rows(laid("a.jsonl", b'{"a": 1}\n' + b'{"a": 2}\n' * 100_000 + b"bad\n"))
    assert next(rows) == {"a": 1}
    rows.close()
