from __future__ import annotations

import gzip
import random

import pytest
from backports import zstd

from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.errors import JobError

LINES = [b'{"a": 1.00}\n', b'{ "b":"\\u00e9 \xc3\xa9"}\r\n', b'{"c": [1, {"d": null}]}\n']
PACK = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".json", ".txt"])
def test_json_lines_come_byte_for_byte(laid, ending, packed):
    path = laid(f"a{ending}{packed}", PACK[packed](b"".join(LINES)))
    assert list(numbered_lines(path)) == list(enumerate(LINES, 1))


@pytest.mark.parametrize("packed", PACK)
def test_every_format_holds_the_same_rows(laid, packed):
    listed = b'[{"n": 1, "t": "x"},\n {"n": 2, "t": "y"}]'
    table = b"n,t\n1,x\n2,y\n"
    for name, data in (("a.json", listed), ("a.csv", table)):
        rows = list(numbered_lines(laid(name + packed, PACK[packed](data))))
        first = 2 if name == "a.csv" else 1  # the number of a CSV row is its line, and the header is line 1
        assert rows == [(first, b'{"n": 1, "t": "x"}\n'), (first + 1, b'{"n": 2, "t": "y"}\n')]


@pytest.mark.parametrize("packed", PACK)
def test_blank_lines_bom_and_a_missing_line_end(laid, packed):
    data = b'\xef\xbb\xbf{"a": 1}\n\n  \t\r\n{"b": 2}\r\n\n{"c": 3}'
    path = laid(f"a.jsonl{packed}", PACK[packed](data))
    assert list(numbered_lines(path)) == [(1, b'{"a": 1}\n'), (4, b'{"b": 2}\r\n'), (6, b'{"c": 3}')]


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("ending", [".jsonl", ".json"])
def test_files_without_rows(laid, data, ending):
    assert list(numbered_lines(laid(f"a{ending}", data))) == []


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_several_members_are_one_file(laid, packed):
    data = b"".join(LINES)
    cut = len(LINES[0]) + 3  # a member may end within a line
    path = laid(f"a.jsonl{packed}", b"".join(PACK[packed](part) for part in (data[:cut], b"", data[cut:])))
    assert [line for _, line in numbered_lines(path)] == LINES


@pytest.mark.parametrize("packed", [".gz", ".zst"])
@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv"])
def test_a_compressed_file_cut_off_anywhere_is_told(laid, ending, packed):
    noise = random.Random(0)
    rows = [f'{{"n": {noise.random()}}}' for _ in range(40)]
    plain = {".jsonl": "\n".join(rows), ".json": f"[{','.join(rows)}]", ".csv": "n\n" + "\n".join(map(str, range(99)))}
    data = PACK[packed](plain[ending].encode())
    for size in range(len(data)):
        with pytest.raises(JobError, match=rf"a{ending}{packed}: the compressed file is damaged or cut off"):
            list(numbered_lines(laid(f"a{ending}{packed}", data[:size])))


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_damaged_file_is_told_and_never_other_rows(laid, packed):
    noise = random.Random(1)
    lines = [f'{{"n": {noise.random()}}}\n'.encode() for _ in range(60)]
    if packed == ".gz":
        data = gzip.compress(b"".join(lines))
    else:
        data = zstd.compress(b"".join(lines), options={zstd.CompressionParameter.checksum_flag: 1})
    damaged = [data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :] for at in range(0, len(data), 3)]
    found = [read_or_told(laid(f"a.jsonl{packed}", one)) for one in damaged]
    told = [one for one in found if isinstance(one, JobError)]
    assert all(f"a.jsonl{packed}" in str(error) for error in told)
    assert len(told) > 0.9 * len(found)
    assert all(one == lines for one in found if one not in told)  # a time stamp was hit, not what is in the file


def read_or_told(path):
    try:
        return [line for _, line in numbered_lines(path)]
    except JobError as error:
        return error


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_what_is_not_compressed_at_all_or_has_more_behind_it(laid, packed):
    for data in (b'{"a": 1}\n', PACK[packed](b'{"a": 1}\n') + b"something"):
        with pytest.raises(JobError, match="damaged or cut off"):
            list(numbered_lines(laid(f"a.jsonl{packed}", data)))


def test_a_json_file_may_be_a_list_or_lines(laid):
    assert [line for _, line in numbered_lines(laid("l.json", b'\xef\xbb\xbf \r\n [{"a": 1}]'))] == [b'{"a": 1}\n']
    lines = b'\xef\xbb\xbf \r\n {"a": 1}\n{"b": 2}'
    assert list(numbered_lines(laid("n.json", lines))) == [(2, b' {"a": 1}\n'), (3, b'{"b": 2}')]
