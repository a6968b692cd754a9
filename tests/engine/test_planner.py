"""The planner: why a job runs again, or is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance, Trace
from data_juicer_sandbox.engine.planner import make_plan
from data_juicer_sandbox.workflow.fingerprints import FingerprintCache, config_digests
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import plan_job
from data_juicer_sandbox.workflow.resolve import resolve

KEPT = "nothing it depends on has changed"


def job(name, position, **keys):
    return Job("p", Phase.EXECUTION, position, "GeneralDataExecutorHook", name, True, **keys)


def jobs(factor=2.0):
    rows = job("rows", 1, extra_configs={"type": "toy_lab.steps.MakeRows", "export_path": "a.jsonl"})
    extra = {"type": "toy_lab.steps.ScaleRows", "export_path": "b.jsonl", "factor": factor}
    scale = job("scale", 2, input={"extra_configs.dataset_path": "rows.path"}, extra_configs=extra)
    return [plan_job(rows, {}), plan_job(scale, {})]


@pytest.fixture
def context(tmp_path, monkeypatch):
    """The records of a finished run of both jobs."""
    monkeypatch.chdir(tmp_path)
    fingerprints, context = FingerprintCache(), ContextInfos()
    for planned_job, read, written in zip(jobs(), ([], ["a.jsonl"]), ("a.jsonl", "b.jsonl"), strict=True):
        Path(written).write_text(written)
        config = config_digests(resolve(planned_job.job, list(context.records()), {}))
        trace = Trace(config, None, fingerprints.get_all(read), fingerprints.get_all([written]))
        name = planned_job.job.meta_name
        provenance = Provenance(phase="execution", status="done", trace=trace)
        context.put("p", JobRecord(name, {"path": written}, provenance))
    return context


def reasons(context, planned_jobs=None, **keys):
    steps = make_plan(planned_jobs or jobs(), context, FingerprintCache(), {}, PathRelocator(Path("out")), **keys)
    assert all(step.runs == (step.reason != KEPT) for step in steps)
    return [step.reason for step in steps]


def test_all_jobs_are_new_in_a_new_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reasons(ContextInfos()) == ["not run yet", "not run yet"]


def test_finished_jobs_are_kept(context):
    assert reasons(context) == [KEPT, KEPT]


def test_a_changed_config_runs_its_job_only(context):
    assert reasons(context, jobs(factor=3.0)) == [KEPT, "config changed: extra_configs.factor"]


def test_a_changed_output_runs_its_job_and_those_that_read_it(context):
    Path("a.jsonl").write_text("changed")
    assert reasons(context) == ["output file a.jsonl has changed", "reads from p.rows, which runs again"]
    Path("a.jsonl").unlink()
    assert reasons(context)[0] == "output file a.jsonl is gone"


@pytest.mark.parametrize(("status", "reason"), [("failed", "it failed last time"), ("running", "it did not finish")])
def test_an_unfinished_job_runs_again(context, status, reason):
    context.put("p", JobRecord("scale", {}, Provenance(phase="execution", status=status)))
    assert reasons(context) == [KEPT, reason]


def test_a_decided_job_runs_for_that_reason(context):
    decided = {"p/execution/rows": "asked for"}
    assert reasons(context, decided=decided) == ["asked for", "reads from p.rows, which runs again"]
