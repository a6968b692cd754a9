from __future__ import annotations

import gzip
import json

import pytest

from data_juicer_sandbox.components.data.row_depth import MAX_DEPTH, refuse_deep_rows
from data_juicer_sandbox.components.data.sources import with_sources
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


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, 100_000])
def test_a_deep_row_is_refused_with_file_and_line(depth, packed, tmp_path):
    path = write(tmp_path, [*FLAT, "", row(depth)], packed)
    for dataset in (path, tmp_path):
        with pytest.raises(JobError, match=f"nested more than {MAX_DEPTH} levels deep") as caught:
            with_sources({"dataset_path": str(dataset)})
        assert (caught.value.where.file, caught.value.where.line) == (str(path), len(FLAT) + 2)


@pytest.mark.parametrize("packed", [False, True])
def test_brackets_in_texts_and_side_by_side_are_no_depth(packed, tmp_path):
    path = write(tmp_path, FLAT, packed)
    assert with_sources({"dataset_path": str(path)}) == {"dataset_path": str(path)}


def test_a_list_of_rows_names_the_entry(tmp_path):
    (tmp_path / "rows.json").write_text(f"[{row(3)}, {row(MAX_DEPTH + 1)}]")
    with pytest.raises(JobError, match="nested more than") as caught:
        refuse_deep_rows(tmp_path / "rows.json")
    assert caught.value.where.line == 2


def test_other_files_are_not_looked_at(tmp_path):
    (tmp_path / "notes.txt").write_text(row(MAX_DEPTH + 1))
    refuse_deep_rows(tmp_path)
