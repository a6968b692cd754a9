"""`PathRelocator`: which paths of an iteration or a trial move, and to where."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.resolve import resolve


@pytest.mark.parametrize(
    ("path", "relocated"),
    [
        ("w/data/a.jsonl", "w/iter_2/data/a.jsonl"),
        ("w/iter_2/data/a.jsonl", "w/iter_2/data/a.jsonl"),
        ("elsewhere/a.jsonl", "elsewhere/iter_2/a.jsonl"),
        ("elsewhere/iter_2/a.jsonl", "elsewhere/iter_2/a.jsonl"),
        ("a.jsonl", "iter_2/a.jsonl"),
    ],
)
def test_where_a_path_moves(path, relocated):
    assert PathRelocator(Path("w"), "iter_2").relocate(path) == relocated
    assert PathRelocator(Path("w")).relocate(path) == path


def test_outputs_move_and_so_do_inputs_that_a_job_writes(plan):
    rows = plan("rows", "MakeRows", export_path="w/a.jsonl")
    scale = plan("scale", "ScaleRows", dataset_path="w/a.jsonl", export_path="w/b.jsonl")
    user = plan("user", "ScaleRows", dataset_path="mine.jsonl", export_path="w/c.jsonl")
    relocator = PathRelocator.of(Path("w"), "iter_1", [rows, scale, user])

    def paths(job):
        extra = relocator.relocate_job(job, resolve(job.job, [], {})).extra_configs
        return extra["dataset_path"], extra["export_path"]

    assert paths(scale) == ("w/iter_1/a.jsonl", "w/iter_1/b.jsonl")
    assert paths(user) == ("mine.jsonl", "w/iter_1/c.jsonl")


def test_only_the_jobs_of_a_trial_move(plan):
    rows = plan("rows", "MakeRows", export_path="w/a.jsonl")
    resolved = resolve(rows.job, [], {})
    other = PathRelocator.of(Path("w"), "trial_1", [rows], frozenset({"p/execution/other"}))
    assert other.relocate_job(rows, resolved) is resolved
