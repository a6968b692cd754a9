"""`Schedule`: waves of jobs, and the longest chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import data_juicer_sandbox as dj
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.engine.planner import Step
from data_juicer_sandbox.engine.schedule import Schedule, make_schedule
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import plan_job


def step(name: str, *reads: str, seconds: float | None = None, runs: bool = True, path: str | None = None) -> Step:
    component = {"type": "toy_lab.steps.MakeRows", "export_path": path or f"{name}.jsonl"}
    job = Job(
        "p",
        Phase.EXECUTION,
        1,
        "GeneralDataExecutorHook",
        name,
        True,
        input={f"extra_configs.{number}": f"{other}.res_1" for number, other in enumerate(reads)},
        extra_configs=component,
    )
    provenance = Provenance(phase="execution", status="done", seconds=seconds)
    record = None if seconds is None else JobRecord(name, {}, provenance)
    return Step(plan_job(job, {}), runs, "", tuple(f"p.{other}" for other in reads), record)


def schedule(*steps: Step) -> Schedule:
    return make_schedule(steps, PathRelocator(Path("out")), {})


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_waves_and_the_longest_chain_by_the_number_of_jobs():
    result = schedule(step("a"), step("b", "a"), step("c"), step("d", "b", "c"), step("e"))
    assert result.waves == (1, 2, 1, 3, 1)
    assert str(result) == "critical path: p.a -> p.b -> p.d (3 of 5 jobs)"


def test_the_longest_chain_by_the_seconds_of_the_last_run():
    steps = [step("a", seconds=1), step("b", "a", seconds=2), step("c", seconds=600), step("d", "b", "c", seconds=30)]
    assert str(schedule(*steps)) == "critical path: p.c -> p.d (10 min 30 s of 10 min 33 s)"
    assert str(schedule(*steps, step("e"))) == "critical path: p.a -> p.b -> p.d (3 of 5 jobs)"


def test_a_kept_job_takes_no_time_and_has_no_wave():
    steps = [step("a", seconds=100, runs=False), step("b", "a", seconds=2), step("c", "b", seconds=3)]
    result = schedule(*steps)
    assert result.waves == (None, 1, 2)
    assert str(result) == "critical path: p.b -> p.c (5.00 s of 5.00 s)"


def test_a_job_from_the_cache_takes_no_time_and_has_no_wave():
    result = schedule(replace(step("a"), cached=True), step("b", "a", seconds=2), step("c", "b", seconds=3))
    assert result.waves == (None, 1, 2)
    assert str(result) == "critical path: p.b -> p.c (5.00 s of 5.00 s)"


def test_a_job_that_waits_for_another_reason_names_the_jobs():
    result = schedule(step("a", path="x"), step("b", path="x"), step("c", "a"))
    assert result.waits == ((), ("p.a",), ())
    many = schedule(*(step(f"j{number}", path="x") for number in range(6)))
    assert many.waits[-1] == ("p.j0", "p.j1", "p.j2", "2 more")
    assert many.waves == (1, 2, 3, 4, 5, 6)


def test_a_long_path_is_shortened():
    steps = [step("j0"), *(step(f"j{number}", f"j{number - 1}") for number in range(1, 30))]
    text = str(schedule(*steps))
    assert text.count("->") == 12
    assert "p.j5 -> (18 more) -> p.j24" in text


def test_nothing_to_run():
    assert schedule().critical_path == ()
    assert schedule(step("a", seconds=1, runs=False)).critical_path == ()


def test_the_plan_shows_waves_and_the_path(config_file, capsys):
    def job(name, **extra):
        return {"hook": "GeneralDataExecutorHook", "meta_name": name, "extra_configs": extra}

    make = {"type": "toy_lab.steps.MakeRows"}
    jobs = [
        job("a", **make, export_path="a.jsonl"),
        job("b", type="toy_lab.steps.ScaleRows", dataset_path="a.jsonl", export_path="b.jsonl"),
        job("c", **make, export_path="b.jsonl"),
    ]
    path = config_file({"work_dir": "out", "execution_job_configs": jobs})
    assert main(["plan", str(path)]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[2].split() == ["wave", "job", "hook", "reads", "from", "also", "waits", "for", "why"]
    assert [line.split()[1] for line in lines[4:7]] == ["1", "2", "3"]
    assert lines[6].split()[4] == "anonymous.b"
    assert "critical path: anonymous.a -> anonymous.b -> anonymous.c (3 of 3 jobs)" in lines
    plan = dj.Sandbox(path).plan()
    assert plan.table.columns == ["", "wave", "job", "hook", "reads from", "also waits for", "why"]
    assert str(plan).splitlines()[-1] == plan.notes[0]
