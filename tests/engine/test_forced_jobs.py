"""`--force` and `--from`: jobs that run again although nothing has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.errors import ConfigErrors

ALL = ["rows", "other", "scale", "sum_scaled", "sum_other"]
ONCE = dict.fromkeys(ALL, 1)


@pytest.fixture
def forced_reasons(config_file):
    """Which jobs a run with these arguments would run, with the reason."""

    def call(config, **arguments):
        plan = Sandbox(config_file(config)).plan(**arguments)
        return {step.planned_job.job.meta_name: step.reason for step in plan if step.runs}

    return call


def test_a_forced_job_runs_again_with_what_reads_from_it(chain, go, attempts, reasons, forced_reasons):
    go(chain)
    assert forced_reasons(chain, force="rows") == {
        "rows": "forced",
        "scale": "reads from make.rows, which runs again",
        "sum_scaled": "reads from use.scale, which runs again",
    }
    assert reasons(chain) == {}, "a plan changes nothing"
    assert go(chain, "--force", "rows") == 0
    assert attempts() == {**ONCE, "rows": 2, "scale": 2, "sum_scaled": 2}
    assert reasons(chain) == {}
    assert not list(Path("out").glob("previous_*")), "the flag implies --resume true"


@pytest.mark.parametrize(
    "flags", [["--force", "make.other,use.sum_scaled"], ["--force=other", "--force", "sum_scaled", "--resume", "true"]]
)
def test_several_jobs_are_forced(chain, go, attempts, flags):
    go(chain)
    assert go(chain, *flags) == 0
    assert attempts() == {**ONCE, "other": 2, "sum_other": 2, "sum_scaled": 2}


def test_from_a_job_all_later_ones_of_all_pipelines_run_again(chain, go, attempts, forced_reasons):
    go(chain)
    assert forced_reasons(chain, from_job="make.other") == dict.fromkeys(ALL[1:], "forced")
    assert go(chain, "--from", "other") == 0
    assert attempts() == {**dict.fromkeys(ALL, 2), "rows": 1}


def test_the_plan_command_shows_forced(chain, go, config_file, capsys):
    go(chain)
    capsys.readouterr()
    assert main(["plan", str(config_file(chain)), "--from", "sum_other"]) == 0
    printed = capsys.readouterr()
    (line,) = [line for line in (printed.out + printed.err).splitlines() if " use.sum_other " in line]
    assert line.split()[0] == "run"
    assert "forced" in line


def test_unknown_names_are_one_error_before_any_work(chain, go, attempts, capsys):
    go(chain)
    capsys.readouterr()
    assert go(chain, "--force", "scael,make.rosw", "--from", "rows") == 2
    message = capsys.readouterr().err
    assert "--force: there is no job 'scael'" in message
    assert "did you mean 'scale'?" in message
    assert "there is no job 'make.rosw'" in message
    assert "did you mean 'make.rows'?" in message
    assert attempts() == ONCE
    assert Checkpoint(Path("out")).read().find("make", "execution", "rows").done


def test_a_name_in_two_pipelines_is_an_error_that_lists_both(chain, config_file):
    chain["pipelines"]["use"]["execution_job_configs"][0]["meta_name"] = "rows"
    chain["pipelines"]["use"]["evaluation_job_configs"][0]["input"] = {"extra_configs.dataset_path": "use.rows.path"}
    with pytest.raises(ConfigErrors, match=r"several pipelines have a job 'rows'(.|\n)*make.rows, use.rows"):
        Sandbox(config_file(chain)).plan(force=["rows"])
    assert Sandbox(config_file(chain)).plan(force=["use.rows"]).resume


@pytest.mark.parametrize("flags", [["--resume", "false"], ["--set", "resume=false"]])
def test_without_resume_the_flags_are_refused(chain, go, attempts, capsys, flags):
    go(chain)
    assert go(chain, "--force", "rows", *flags) == 2
    assert "`--force` redo jobs of an earlier run, but `resume` is false" in capsys.readouterr().err
    assert attempts() == ONCE


def test_a_search_refuses_the_flags(chain, config_file):
    sweep = {"method": "grid", "metric": {"name": "sum_other.other"}}
    sweep["parameters"] = {"make.other.extra_configs.seed": {"values": [1, 2]}}
    config_file(sweep, "sweep.yaml")
    with pytest.raises(ConfigErrors, match="`--from` cannot be used with `hpo_config`"):
        Sandbox(config_file({**chain, "hpo_config": "sweep.yaml"})).run(from_job="rows")


def test_a_forced_job_that_was_not_redone_is_redone_by_the_next_resumed_run(chain, go, attempts, reasons):
    go(chain)
    broken = chain["pipelines"]["make"]["execution_job_configs"][1]["extra_configs"]
    broken["seed"] = -1
    broken["export_path"] = "/proc/nowhere/other.jsonl"
    assert go(chain, "--from", "rows") == 1
    broken.update(seed=5, export_path="out/data/other.jsonl")
    assert attempts() == {**ONCE, "rows": 2, "other": 2}
    assert reasons(chain) == {
        "other": "it failed last time",
        "scale": "forced",
        "sum_scaled": "forced",
        "sum_other": "forced",
    }
    assert go(chain, "--resume") == 0
    assert attempts() == {**dict.fromkeys(ALL, 2), "other": 3}
    assert reasons(chain) == {}


def test_all_iterations_are_redone(chain, go, attempts):
    assert go({**chain, "max_iter_num": 2}) == 0
    assert attempts() == dict.fromkeys(ALL, 2)
    assert go({**chain, "max_iter_num": 2}, "--force", "sum_other") == 0
    assert attempts() == {**dict.fromkeys(ALL, 2), "sum_other": 4}


def test_a_forced_job_makes_pools_that_it_would_else_keep(config_file):
    rows = {"type": "inline_rows", "rows": ["a", "b"], "key": "text", "export_path": "rows.jsonl"}
    pools = {"type": "data_pool_duplication", "dataset_path": "rows.jsonl", "export_path": "pools"}
    pools["duplicating_times"] = [2]
    jobs = [
        {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "extra_configs": rows},
        {"hook": "DataPoolManipulationHook", "meta_name": "pools", "extra_configs": pools},
    ]
    sandbox = Sandbox(config_file({"work_dir": "out", "execution_job_configs": jobs}))
    sandbox.run()
    (pool,) = Path("pools").glob("*.jsonl")
    before = pool.stat().st_ino
    results = sandbox.run(force="pools")
    assert results.ran == ("anonymous.pools",)
    assert pool.stat().st_ino != before
    assert json.loads(pool.read_text().splitlines()[0]) == {"text": "a"}
