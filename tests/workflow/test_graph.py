"""The dependency graph: edges by context keys, by files, and by what earlier runs wrote."""

from __future__ import annotations

from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance, Trace
from data_juicer_sandbox.validation.files import WrittenPaths
from data_juicer_sandbox.workflow.graph import edges, referenced
from data_juicer_sandbox.workflow.planned_job import named_jobs

DATA = {"extra_configs.dataset_path": "rows.path"}
A, B, C = "p/execution/rows", "p/execution/scale", "p/execution/other"


def test_an_edge_by_a_context_key_and_none_without(plan):
    rows = plan("rows", "MakeRows", export_path="a.jsonl")
    scale = plan("scale", "ScaleRows", export_path="b.jsonl", input=DATA)
    other = plan("other", "MakeRows", export_path="c.jsonl")
    assert edges([rows, scale, other], ContextInfos()) == {A: set(), B: {A}, C: set()}


def test_an_edge_by_a_file_and_by_a_folder_around_it(plan):
    rows = plan("rows", "MakeRows", export_path="out")
    scale = plan("scale", "ScaleRows", dataset_path="out/part.jsonl", export_path="b.jsonl")
    assert edges([rows, scale], ContextInfos())[B] == {A}
    assert edges([scale, rows], ContextInfos()) == {A: set(), B: set()}  # a later job is not read


def test_an_edge_by_a_declared_input_without_a_dot(plan):
    rows = plan("rows", "MakeRows", export_path="rows")
    scale = plan("scale", "ScaleRows", dataset_path="rows", export_path="b.jsonl")
    assert edges([rows, scale], ContextInfos())[B] == {A}


def test_an_edge_by_a_file_that_only_the_record_names(plan):
    rows = plan("rows", "MakeRows", export_path="a.jsonl")
    scale = plan("scale", "ScaleRows", dataset_path="side.jsonl", export_path="b.jsonl")
    context = ContextInfos()
    assert edges([rows, scale], context)[B] == set()
    trace = Trace(outputs={"side.jsonl": ("1", "2")})
    context.put("p", JobRecord("rows", {}, Provenance(phase="execution", status="done", trace=trace)))
    assert edges([rows, scale], context)[B] == {A}


def test_a_key_refers_to_the_own_pipeline_or_another(plan):
    rows = plan("rows", "MakeRows", export_path="a.jsonl")
    elsewhere = plan("rows", "MakeRows", pipeline="q", export_path="b.jsonl")
    reader = plan("scale", "ScaleRows", export_path="c.jsonl", dataset_path="a.jsonl")
    earlier = named_jobs([rows, elsewhere])
    assert referenced(reader, "rows.path", earlier) == ([rows], "path")
    assert referenced(reader, "q.rows.path.0", earlier) == ([elsewhere], "path")
    assert referenced(reader, "-1.path", earlier) == ([elsewhere], "path")
    assert referenced(reader, "-1.path", named_jobs()) is None
    assert referenced(reader, "nobody.path", earlier) is None


def test_jobs_are_found_by_name_in_order(plan):
    rows = plan("rows", "MakeRows", export_path="a.jsonl")
    again = plan("rows", "MakeRows", export_path="b.jsonl")
    elsewhere = plan("rows", "MakeRows", pipeline="q", export_path="c.jsonl")
    jobs = named_jobs([rows, elsewhere])
    jobs.append(again)
    assert list(jobs) == [rows, elsewhere, again]
    assert (len(jobs), jobs[-1], jobs[1:]) == (3, again, [elsewhere, again])
    assert list(jobs.named("p", "rows")) == [rows, again]
    assert list(jobs.named("p", "other")) == []


def test_paths_that_earlier_jobs_may_write(plan):
    jobs = named_jobs([plan("j0", "MakeRows", export_path="data/0.jsonl")])
    written = WrittenPaths(jobs)
    assert "data/0.jsonl" in written
    assert "data/1.jsonl" not in written
    jobs.append(plan("j1", "MakeRows", export_path="data/1.jsonl"))
    assert "data/1.jsonl" in written
    assert "data/1_stats.jsonl" in written
    assert "data/2.jsonl" not in written
    assert "out/jobs/p/j1/x.jsonl" in written
    assert "out/jobs/p/j9/x.jsonl" not in written
    assert "out/jobs/p/j1" not in written
