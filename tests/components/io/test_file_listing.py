"""Which files a folder or a pattern means."""

from __future__ import annotations

import os

import pytest

from data_juicer_sandbox.components.io.data_files import data_files, is_data
from data_juicer_sandbox.file_digests import digest


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "data"
    for name in ("b.jsonl", "a.parquet", "c.tsv", "sub/a.csv", ".ipynb_checkpoints/b-checkpoint.jsonl", ".h.jsonl"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def names(path, root):
    return [str(file.relative_to(root)) for file in data_files(path)]


def test_links_in_circles_end_and_each_file_is_read_once(tree):
    (tree / "loop").symlink_to(tree)
    (tree / "sub/up").symlink_to(tree)
    (tree / "sub/self").symlink_to(tree / "sub")
    (tree / "z-link.jsonl").symlink_to(tree / "b.jsonl")
    os.link(tree / "b.jsonl", tree / "z-hard.jsonl")
    assert names(tree, tree) == ["a.parquet", "b.jsonl", "c.tsv", "sub/a.csv"]
    assert names(tree / "**", tree) == ["a.parquet", "b.jsonl", "c.tsv", "sub/a.csv"]
    assert names(tree / "**" / "*.jsonl", tree) == ["b.jsonl"]
    assert names(tree / "*.jsonl", tree) == ["b.jsonl"]
    assert digest(tree)


def test_signs_in_a_name_that_exists_are_literal(tmp_path):
    for name in ("f[2024]/a.jsonl", "f2/b.jsonl", "d[1].jsonl", "d1.jsonl", "d*.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert names(tmp_path / "d[1].jsonl", tmp_path) == ["d[1].jsonl"]
    assert names(tmp_path / "d*.jsonl", tmp_path) == ["d*.jsonl"]
    assert names(tmp_path / "f[2024]" / "*.jsonl", tmp_path) == ["f[2024]/a.jsonl"]
    assert names(tmp_path / "f[2024]", tmp_path) == ["f[2024]/a.jsonl"]
    assert not is_data(str(tmp_path / "g[2024]" / "*.jsonl"))
