"""New pools are written whole, and known again."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.components.pools.outputs import Output, OutputManifest, RowSelection, lines, write


@dataclass(frozen=True)
class Breaks:
    """Half a pool."""

    rows: int = 2

    def blocks(self, shared):
        yield b'{"n": 1}\n'
        raise OSError("the disk is full")

    def key(self) -> str:
        return "breaks"


@dataclass(frozen=True)
class Text:
    text: bytes
    rows: int = 1

    def blocks(self, shared):
        yield memoryview(self.text)

    def key(self) -> str:
        return self.text.decode()


def test_half_a_pool_is_none(tmp_path):
    made = OutputManifest(tmp_path, "r")
    place = tmp_path / "out" / "p.jsonl"
    write((None, made), Output(place, Text(b"{}\n")))
    for path in (place, tmp_path / "out" / "q.jsonl"):
        with pytest.raises(OSError, match="the disk is full"):
            write((None, made), Output(path, Breaks()))
    assert [path.name for path in place.parent.iterdir()] == ["p.jsonl"]
    assert place.read_bytes() == b"{}\n"
    assert not OutputManifest(tmp_path, "r").has(tmp_path / "out" / "q.jsonl", "breaks")


def test_what_is_right_is_known_and_what_is_not_is_not(tmp_path):
    place = tmp_path / "p.jsonl"
    write((None, OutputManifest(tmp_path, ["r", 1])), Output(place, Text(b"{}\n")))

    def known(recipe=("r", 1), key="{}\n", path=place) -> bool:
        return OutputManifest(tmp_path, list(recipe)).has(path, key)

    assert known()
    assert not known(recipe=["r", 2])
    assert not known(key="other")
    assert not known(path=tmp_path / "q.jsonl")
    state = place.stat()
    place.write_bytes(b"{1\n")
    assert not known()
    os.utime(place, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert not known()  # the time of the status change cannot be set back
    place.write_bytes(b"{}")
    assert not known()
    place.unlink()
    assert not known()


def test_the_last_word_counts_and_half_a_line_harms_nobody(tmp_path):
    place, record = tmp_path / "p.jsonl", tmp_path / "made.jsonl"
    record.write_text('["half')
    write((None, OutputManifest(tmp_path, "r")), Output(place, Text(b"one\n")))
    with record.open("a") as stream:
        stream.write('["' + str(place))
    write((None, OutputManifest(tmp_path, "r")), Output(place, Text(b"two\n")))
    record.open("a").write("[]\n3\n")
    assert OutputManifest(tmp_path, "r").has(place, "two\n")
    assert not OutputManifest(tmp_path, "r").has(place, "one\n")


DAMAGE = [
    b"\xff\xfe no UTF-8",
    bytes(64),
    b'[["a list for a path"], 1, 2, 3]',
    b'[{"a": 1}, 2]',
    b"[" * 100_000,
    b'"text"',
    b"null",
    b'{"an": "object"}',
]


@pytest.mark.parametrize("line", DAMAGE)
def test_a_damaged_line_of_the_record_harms_no_other(tmp_path, line):
    place, record = tmp_path / "p.jsonl", tmp_path / "made.jsonl"
    record.write_bytes(line + b"\n")
    write((None, OutputManifest(tmp_path, "r")), Output(place, Text(b"{}\n")))
    assert OutputManifest(tmp_path, "r").has(place, "{}\n")


@given(data=st.data())
def test_a_damaged_record_never_passes_one_output_for_another(data):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outputs = [Output(folder / f"{text}.jsonl", Text(b"%d\n" % text)) for text in range(4)]
        for output in outputs:
            write((None, OutputManifest(folder, "r")), output)
        record = folder / "made.jsonl"
        content = bytearray(record.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        record.write_bytes(content)
        made = OutputManifest(folder, "r")  # what it does not know is made again
        for output in outputs:
            for other in outputs:
                assert other is output or not made.has(output.path, other.content.key())


def test_the_key_of_chosen_rows_tells_them_apart():
    def rows(*numbers):
        return np.array(numbers, np.int64)

    chosen = [
        ((0, None),),
        ((1, None),),
        ((0, None), (0, None)),
        ((0, rows(1, 2)),),
        ((0, rows(2, 1)),),
        ((0, rows(1)), (0, rows(2))),
        ((0, rows()),),
        (),
        ((1, rows(1, 2)),),
    ]
    assert len({RowSelection(parts, 2).key() for parts in chosen}) == len(chosen)
    assert RowSelection(((0, rows(1, 2)),), 2).key() == RowSelection(((0, rows(0, 1, 2)[1:]),), 2).key()


def test_lines_of_blocks_that_end_anywhere():
    whole = b"a\nbc\n\nd"
    for size in range(1, 8):
        blocks = [memoryview(whole)[at : at + size] for at in range(0, len(whole), size)]
        assert list(lines(iter(blocks))) == [b"a", b"bc", b"", b"d"]
    assert list(lines(iter([]))) == []


def test_the_record_names_places_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("job").mkdir()
    write((None, OutputManifest(Path("job"), "r")), Output(tmp_path / "p.jsonl", Text(b"{}\n")))
    monkeypatch.chdir("/")
    assert OutputManifest(tmp_path / "job", "r").has(tmp_path / "p.jsonl", "{}\n")
