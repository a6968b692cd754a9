from __future__ import annotations

import gzip
import json

import pytest

from data_juicer_sandbox.components.data.row_depth import MAX_DEPTH
from data_juicer_sandbox.components.data.rows.hand_over import Demands, hand_over
from data_juicer_sandbox.components.data.rows.needed_fields import NeededFields
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.errors import JobError


def row(depth):
    """A row as deep as this; the row itself is a level."""
    return '{"text": "a", "x": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


FLAT = [
    row(MAX_DEPTH),
    json.dumps({"text": "[{" * 5_000}),
    json.dumps({"text": '\\"[' * 5_000}),
    json.dumps({"text": "a", "x": [{"a": [1]}] * 2_000}),
]


def write(folder, rows, packed):
    text = "\n".join(rows) + "\n"
    path = folder / ("rows.jsonl.gz" if packed else "rows.jsonl")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def read(path, folder):
    return hand_over([str(path)], Demands(NeededFields({"text"})), folder / "handed", Allowance())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, 100_000])
def test_a_deep_row_is_refused_with_file_and_line(depth, packed, tmp_path):
    path = write(tmp_path, [*FLAT, "", row(depth)], packed)
    for dataset in (path, tmp_path):
        with pytest.raises(JobError, match=f"nested more than {MAX_DEPTH} levels deep") as caught:
            read(dataset, tmp_path)
        assert (caught.value.where.file, caught.value.where.line) == (str(path), len(FLAT) + 2)


@pytest.mark.parametrize("packed", [False, True])
def test_brackets_in_texts_and_side_by_side_are_no_depth(packed, tmp_path):
    path = write(tmp_path, FLAT, packed)
    assert read(path, tmp_path).rows_in == len(FLAT)


def test_a_list_of_rows_names_the_entry(tmp_path):
    (tmp_path / "rows.json").write_text(f"[{row(3)}, {row(MAX_DEPTH + 1)}]")
    with pytest.raises(JobError, match="nested more than") as caught:
        read(tmp_path / "rows.json", tmp_path)
    assert caught.value.where.line == 2
