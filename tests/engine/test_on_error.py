"""`on_error: continue`: a failed job stops only the jobs that depend on it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import data_juicer_sandbox as dj
from data_juicer_sandbox.terminal.view import FailedJob, SkippedJob

TOY = "toy_lab.steps."


def job(name: str, component: str, reads: dict[str, str] | None = None, **extra: Any) -> dict[str, Any]:
    configs = {"type": TOY + component, **extra}
    return {"hook": "GeneralDataExecutorHook", "meta_name": name, "input": reads or {}, "extra_configs": configs}


@pytest.fixture
def config(tmp_path, monkeypatch) -> dict[str, Any]:
    """`bad` fails; `after` reads from it, `last` from `after`; `alone` does not."""
    monkeypatch.chdir(tmp_path)
    jobs = [
        job("rows", "MakeRows", export_path="out/rows.jsonl"),
        job("bad", "SumRows", {"extra_configs.dataset_path": "rows.res_1"}, fail=True),
        job("after", "Give", {"extra_configs.value": "bad.res_1"}),
        job("last", "Give", {"extra_configs.value": "-1.res_1"}),
        job("alone", "MakeRows", export_path="out/alone.jsonl"),
    ]
    return {"work_dir": "out", "on_error": "continue", "pipelines": {"main": {"execution_job_configs": jobs}}}


def jobs_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    return config["pipelines"]["main"]["execution_job_configs"]


@pytest.fixture(params=["serial", "local"])
def backend(request, config) -> str:
    config["parallel"] = {"backend": request.param, "max_workers": 2}
    return str(request.param)


def status() -> dict[str, str]:
    frame = dj.load_results("out").jobs
    return dict(zip(frame["job"], frame["status"], strict=True))


def test_all_that_does_not_depend_on_a_failed_job_runs(config, backend):
    with pytest.raises(dj.JobsFailed, match="told to fail") as caught:
        dj.Sandbox(config).run()
    error = caught.value
    assert [(failure.label, failure.cause.split(" (")[0]) for failure in error.failures] == [
        ("main.bad", "told to fail")
    ]
    assert error.skipped == (SkippedJob("main.after", "main.bad"), SkippedJob("main.last", "main.bad"))
    assert isinstance(error, dj.JobFailed)
    assert (error.label, error.exit_code) == ("main.bad", 1)
    assert status() == {"rows": "done", "bad": "failed", "alone": "done"}


def test_a_resumed_run_does_what_failed_and_what_was_skipped(config, backend):
    with pytest.raises(dj.JobsFailed):
        dj.Sandbox(config).run()
    jobs_of(config)[1]["extra_configs"]["fail"] = False
    results = dj.Sandbox(config).run(resume=True)
    assert results.ran == ("main.bad", "main.after", "main.last")
    assert set(results.kept) == {"main.rows", "main.alone"}
    assert results["main.last.res_1"] == results["main.bad.res_1"]


def test_without_it_the_first_failure_ends_the_run(config):
    config["on_error"] = "stop"
    with pytest.raises(dj.JobFailed) as caught:
        dj.Sandbox(config).run()
    assert not isinstance(caught.value, dj.JobsFailed)
    assert status() == {"rows": "done", "bad": "failed"}


def test_the_command_line_lists_what_failed_and_what_was_skipped(config, config_file, capsys):
    from data_juicer_sandbox.cli.main import main

    jobs_of(config).append(job("second", "NeedsFile", path="nowhere.txt"))
    path = config_file(config)
    assert main([str(path)]) == 1
    text = capsys.readouterr().err
    assert "[3/6] main.after skipped: main.bad failed\n" in text
    assert text.partition("FAILED: ")[2].splitlines() == [
        "2 jobs, 2 jobs skipped",
        "  main.bad",
        "    cause: told to fail (set `fail: false`)",
        "    log: out/sandbox.log",
        "  main.second",
        "    cause: nowhere.txt does not exist",
        "    log: out/sandbox.log",
        "  main.after was skipped: main.bad failed",
        "  main.last was skipped: main.bad failed",
        f"  to continue: dj-sandbox --config {path} --resume true",
    ]


def test_a_failed_iteration_ends_the_run(config):
    config["max_iter_num"] = 2
    with pytest.raises(dj.JobsFailed):
        dj.Sandbox(config).run()
    assert list(dj.load_results("out").jobs["iteration"]) == [1, 1, 1]


def test_a_job_that_may_read_what_a_failed_program_writes_is_skipped(config):
    program = {"type": "command", "argv": ["false"], "result": "out/model"}
    jobs = jobs_of(config)
    jobs[1] = {"hook": "TrainModelHook", "meta_name": "bad", "extra_configs": program}
    jobs[2:] = [
        job("reader", "NeedsFile", path="out/model/part"),
        job("independent", "NeedsFile", path="out/rows.jsonl"),
    ]
    with pytest.raises(dj.JobsFailed) as caught:
        dj.Sandbox(config).run()
    assert caught.value.skipped == (SkippedJob("main.reader", "main.bad"),)
    assert status() == {"rows": "done", "bad": "failed", "independent": "done"}


def test_the_error_survives_a_process_boundary():
    error = dj.JobsFailed([FailedJob("p.a", "x", "log"), FailedJob("p.b", "y", "log")], [SkippedJob("p.c", "p.a")])
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.failures, copy.skipped, copy.what) == (error.failures, error.skipped, error.what)
    assert "p.b: y" in error.what
