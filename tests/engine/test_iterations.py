"""Passes repeated: where they write, what they carry on, when they stop, and that a crash loses nothing."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

TOY = "toy_lab.steps."


def job(name, type_name, **keys):
    return {"hook": "GeneralDataExecutorHook", "meta_name": name, "extra_configs": {"type": TOY + type_name, **keys}}


@pytest.fixture
def grow():
    """Rows, doubled in each pass; their sum is what targets look at."""
    return {
        "work_dir": "out",
        "max_iter_num": 10,
        "iter_targets": ["anonymous.sum.sums.scaled >= 100"],
        "iter_updater": {"anonymous.scale.path": "anonymous.scale.extra_configs.dataset_path"},
        "execution_job_configs": [
            {**job("rows", "MakeRows", export_path="out/data/rows.jsonl"), "output": "path"},
            {
                **job("scale", "ScaleRows", export_path="out/data/scaled.jsonl"),
                "input": {"extra_configs.dataset_path": "rows.path"},
                "output": ["path", "n"],
            },
        ],
        "evaluation_job_configs": [
            {
                **job("sum", "SumRows", dataset_path="out/data/scaled.jsonl"),
                "hook": "EvaluateDataHook",
                "output": "sums",
            }
        ],
    }


def history():
    return json.loads(Path("out/iterations.json").read_text())


def sums():
    with Path("out/context_infos.pkl").open("rb") as stream:
        return [one["anonymous"][-1]["sums"]["scaled"] for one in pickle.load(stream)]


def test_each_pass_begins_with_what_the_last_one_made_and_the_target_ends_them(grow, go, capsys):
    assert go(grow) == 0
    found = sums()
    assert [later / found[0] for later in found] == [2**n for n in range(len(found))]
    assert found[-1] >= 100 > found[-2]
    told = history()
    assert told["stopped"] == "the target holds"
    assert [row["anonymous.sum.sums.scaled"] for row in told["iterations"]] == found
    assert [row["targets hold"] for row in told["iterations"]] == [False] * (len(found) - 1) + [True]
    for number in range(1, len(found) + 1):
        assert {path.name for path in Path(f"out/iter_{number}/data").iterdir()} == {"rows.jsonl", "scaled.jsonl"}
        assert Path(f"out/iter_{number}/jobs/anonymous/sum").is_dir()
    assert not Path("out/data").exists()
    said = capsys.readouterr().err
    assert "iterations: the target holds" in said
    assert "iteration 2\n[1/3] anonymous.rows" in said


def test_a_finished_run_resumed_does_nothing_and_a_higher_target_goes_on(grow, go, capsys):
    assert go(grow) == 0
    before = sums()
    capsys.readouterr()
    assert go(grow, "--resume", "true") == 0
    assert " started" not in capsys.readouterr().err
    assert sums() == before
    grow["iter_targets"] = ["anonymous.sum.sums.scaled >= 200"]
    assert go(grow, "--resume", "true") == 0
    assert sums()[: len(before)] == before
    assert len(sums()) == len(before) + 1
    grow["iter_targets"] = ["anonymous.sum.sums.scaled >= 30"]  # and a lower one drops what is beyond it
    assert go(grow, "--resume", "true") == 0
    assert sums() == [one for one in before if one < 30] + [next(one for one in before if one >= 30)]


@pytest.mark.parametrize("kill_in", ["iter_1/data/scaled.jsonl", "iter_2/data/scaled.jsonl", "iter_3/data/rows.jsonl"])
def test_killed_in_any_pass_and_resumed(grow, go, tmp_path, monkeypatch, support_path, kill_in):
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    monkeypatch.chdir(undisturbed)
    assert go(grow) == 0
    expected = sums()
    for one in grow["execution_job_configs"]:
        one["extra_configs"]["delay"] = 0.01
    killed = tmp_path / "killed"
    killed.mkdir()
    monkeypatch.chdir(killed)
    (killed / "s.yaml").write_text(yaml.safe_dump(grow, sort_keys=False))
    command = [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "s.yaml"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": support_path}, stderr=subprocess.DEVNULL)
    while not Path("out", kill_in).exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    passes = int(kill_in[5]) - 1
    assert go(grow, "--resume", "true") == 0
    assert sums() == expected
    log = Path("out/sandbox.log").read_text()
    assert log.count("job anonymous.sum done") == len(expected)  # none of the finished passes was made again
    assert passes == 0 or f"iter_{passes}" in log


def test_reasons_to_stop(grow, go):
    grow["max_iter_num"] = 2
    assert go(grow) == 0
    assert history()["stopped"] == "max_iter_num 2 is reached"
    grow.update(max_iter_num=0, iter_updater={}, patience=2)  # the same in every pass
    assert go(grow) == 0
    assert history()["stopped"] == "no gain in 2 iterations (patience 2)"
    assert len(sums()) == 3
    grow.update(patience=None, max_hours=1e-9)
    assert go(grow) == 0
    assert history()["stopped"] == "max_hours 1e-09 is reached"


def test_any_target_will_do_or_all_must_hold(grow, go):
    grow["iter_targets"] = ["anonymous.sum.sums.scaled > 1e9", "anonymous.scale.n == 20"]
    grow["iter_targets_mode"] = "any"
    assert go(grow) == 0
    assert len(sums()) == 1
    grow.update(iter_targets_mode="all", max_iter_num=3)
    assert go(grow) == 0
    assert len(sums()) == 3


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("abc", "the target 'anonymous.give.value' is 'abc' after iteration 1, which is not a number"),
        (float("nan"), "the target 'anonymous.give.value' is nan after iteration 1"),
        (True, "the target 'anonymous.give.value' is True after iteration 1"),
        ({"a": 1}, "is {'a': 1} after iteration 1, which is not a number"),
    ],
)
def test_a_target_that_is_no_number_stops_with_its_name(go, capsys, value, said):
    give = {**job("give", "Give", value=value), "output": "value"}
    config = {
        "work_dir": "out",
        "max_iter_num": 3,
        "iter_targets": ["anonymous.give.value >= 1"],
        "execution_job_configs": [give],
    }
    assert go(config) == 1
    assert said in capsys.readouterr().err


def test_a_target_deep_in_a_result_that_is_not_there(go, capsys):
    give = {**job("give", "Give", value={"a": 1}), "output": "value"}
    config = {
        "work_dir": "out",
        "max_iter_num": 3,
        "iter_targets": ["anonymous.give.value.b >= 1"],
        "execution_job_configs": [give],
    }
    assert go(config) == 1
    assert "'anonymous.give.value.b' is not among the results of iteration 1: no key 'b'" in capsys.readouterr().err


def test_one_pass_keeps_its_paths_unless_asked(grow, go):
    grow.update(max_iter_num=1, iter_updater={})
    assert go(grow) == 0
    assert Path("out/data/scaled.jsonl").exists()
    grow["iter_subdir"] = True
    assert go(grow) == 0
    assert Path("out/iter_1/data/scaled.jsonl").exists()


def test_paths_outside_the_work_directory_and_the_users_own_files_inside_it(grow, go):
    """What is written elsewhere gets its folder there; a file that no job makes is read where it lies."""
    Path("out/data").mkdir(parents=True)
    Path("out/data/mine.jsonl").write_text('{"x": 1.0}\n')
    grow["execution_job_configs"][1]["extra_configs"]["export_path"] = "elsewhere/scaled.jsonl"
    grow["execution_job_configs"][0]["extra_configs"]["export_path"] = "out/data"
    grow["execution_job_configs"][0]["extra_configs"]["type"] = TOY + "Hidden"
    grow["execution_job_configs"][0]["extra_configs"] = {"type": TOY + "Give", "value": "out/data/mine.jsonl"}
    grow["evaluation_job_configs"][0]["extra_configs"]["dataset_path"] = "elsewhere/scaled.jsonl"
    grow.update(max_iter_num=2, iter_targets=[])
    assert go(grow) == 0
    assert Path("elsewhere/iter_2/scaled.jsonl").read_text() == '{"x": 4.0}\n'


def test_metrics_are_numbered_from_the_second_pass_on(grow, go):
    grow["max_iter_num"] = 2
    assert go(grow) == 0
    lines = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    assert [line.get("iteration") for line in lines if line.get("name") == "sum.scaled"] == [None, 2]


def test_iterations_without_an_end_are_refused(grow, go, capsys):
    grow.update(max_iter_num=0, iter_targets=[])
    assert go(grow) == 2
    assert "`max_iter_num: 0` repeats until the targets hold, but `iter_targets` is empty" in capsys.readouterr().err


def test_the_plan_is_that_of_the_pass_that_is_next(grow, go, reasons):
    grow["max_iter_num"] = 2
    assert go(grow) == 0
    Path("out/iter_2/data/scaled.jsonl").unlink()
    found = reasons({**grow, "resume": True})
    assert found["scale"] == "output file out/iter_2/data/scaled.jsonl is gone"
    assert "rows" not in found
