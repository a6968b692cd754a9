"""Trials in several processes, and several searches on one study; killed, interrupted, and continued."""

from __future__ import annotations

import os
import pickle
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna", reason="pip install -e '.[search]'")

RATE = "use.learn.extra_configs.rate"


@pytest.fixture
def slow(lab, tmp_path):
    """Trials that take a while, and write down each step."""
    learn = lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]
    learn |= {"steps": 10, "delay": 0.03, "log": str(tmp_path / "steps.log")}
    return lab


def finish(process):
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def test_side_by_side_as_one_by_one(lab, sweep, go, table):
    assert go(lab, {**sweep, "n_jobs": 2}) == 0
    both = {row["number"]: (row[RATE], row["use.learn.loss"]) for row in table()}
    assert go(lab, sweep, "--work_dir", "alone") == 0
    assert {row["number"]: (row[RATE], row["use.learn.loss"]) for row in table("alone")} == both
    assert Path("out/trials/trial_3/sandbox.log").read_text().count("job use.learn done") == 1
    assert best_of("out") == best_of("alone")


@pytest.mark.parametrize(("n_jobs", "trust"), [(1, True), (2, True), (1, False)])
def test_trust_reaches_the_trials(slow, sweep, start, go, tmp_path, n_jobs, trust):
    """A trial was interrupted after its first job, and its checkpoint has the form of an earlier version."""
    sweep |= {"sweep_max_count": 1, "n_jobs": n_jobs}
    sweep["parameters"]["use.scale.extra_configs.factor"] = {"min": 1.0, "max": 2.0}
    trial = tmp_path / "out/trials/trial_0"
    file = trial / "context_infos.pkl"
    process = start(slow, sweep)
    while not file.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    records = pickle.loads(file.read_bytes())
    records[0]["use"][0]["array"] = np.arange(3)
    file.write_bytes(pickle.dumps(records, 4))
    assert go(slow, sweep, "--resume", "true", *(["--trust-checkpoint"] if trust else [])) == 0
    aside = [pickle.loads(old.read_bytes())[0]["use"][0] for old in trial.glob("previous_*/context_infos.pkl")]
    assert ["array" in record for record in aside] == ([] if trust else [True])
    assert ("array" in pickle.loads(file.read_bytes())[0]["use"][0]) is trust


def best_of(work_dir):
    return Path(work_dir, "best.yaml").read_text().partition("parameters:")[2]


def test_killed_twice_and_resumed_no_trial_is_lost_or_doubled(slow, sweep, start, table, tmp_path, started):
    sweep |= {"sweep_max_count": 10}
    draw = random.Random(5)
    for n in range(3):
        process = start(slow, sweep, "--resume", "true")
        while sum(1 for _ in (tmp_path / "out").glob("trials/trial_*")) < 2 + 3 * n and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish(start(slow, sweep, "--resume", "true"))
    undisturbed = start(slow, sweep, folder="other")
    finish(undisturbed)
    rows, expected = table(tmp_path / "out"), table(tmp_path / "other/out")
    for row in (*rows, *expected):
        del row["seconds"]
    assert rows == expected
    assert started(tmp_path / "out")["rows"] == 1


def test_killed_side_by_side_the_workers_end_too_and_the_search_is_finished_later(slow, sweep, start, table, tmp_path):
    sweep |= {"sweep_max_count": 8, "n_jobs": 2}
    process = start(slow, sweep)
    while sum(1 for _ in (tmp_path / "out").glob("trials/trial_*/metrics.jsonl")) < 4 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    log = tmp_path / "steps.log"
    before, deadline = "", time.time() + 20
    while log.read_text() != before and time.time() < deadline:  # left alone, they would go on for seconds
        before = log.read_text()
        time.sleep(0.7)
    assert log.read_text() == before
    assert len(before.splitlines()) < 8 * 10
    finish(start(slow, sweep, "--resume", "true"))
    rows = table(tmp_path / "out")
    assert [row["number"] for row in rows] == list("01234567")
    assert {row["state"] for row in rows} == {"complete"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_politely(slow, sweep, start, table, tmp_path, jobs):
    sweep |= {"sweep_max_count": 30, "n_jobs": jobs}
    process = start(slow, sweep)
    while sum(1 for _ in (tmp_path / "out").glob("trials/trial_*/metrics.jsonl")) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "resume with:\n  dj-sandbox --config sandbox.yaml --resume true" in said
    states = {row["state"] for row in table(tmp_path / "out")}
    assert states <= {"complete", "running"}
    assert "complete" in states
    sweep["sweep_max_count"] = 5
    finish(start(slow, sweep, "--resume", "true"))
    assert "running" not in {row["state"] for row in table(tmp_path / "out")}


def test_a_worker_that_dies_costs_its_trial_only(lab, sweep, go, table):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["die_above"] = 0.6
    assert go(lab, {**sweep, "n_jobs": 2, "max_failures": 6}) == 0
    for row in table():
        died = float(row[RATE]) > 0.6
        assert row["state"] == ("failed" if died else "complete")
        assert ("ended by signal 9 (SIGKILL); was there enough memory?" in row["error"]) == died
    assert {row["state"] for row in table()} == {"failed", "complete"}


def test_pruning_reaches_a_worker(lab, sweep, go, table):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["steps"] = 27
    sweep |= {"sweep_max_count": 10, "n_jobs": 2}
    sweep["early_terminate"] = {"type": "hyperband", "min_iter": 3, "metric": "learn.loss"}
    assert go(lab, sweep) == 0
    assert {row["state"] for row in table()} == {"complete", "pruned"}


@pytest.mark.parametrize("storage", ["sqlite:///{}/study.db", "{}/study.journal"])
def test_two_searches_on_one_study_share_its_trials(slow, sweep, start, table, tmp_path, storage):
    slow["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["delay"] = 0.1  # the second starts in time
    sweep |= {"sweep_max_count": 9, "method": "grid", "storage": storage.format(tmp_path)}
    sweep["parameters"][RATE] = {"values": [n / 10 for n in range(1, 10)]}
    processes = [start(slow, sweep, folder="one"), start(slow, sweep, folder="two")]
    for process in processes:
        finish(process)
    finish(start(slow, sweep, "--resume", "true", folder="one"))  # the table as it is now that both are done
    rows = table(tmp_path / "one/out")
    assert sorted(row[RATE] for row in rows) == [str(n / 10) for n in range(1, 10)]
    made = [{path.name for path in tmp_path.glob(f"{folder}/out/trials/*")} for folder in ("one", "two")]
    assert all(made), "both took part"
    assert not made[0] & made[1]
    assert len(made[0] | made[1]) == 9
    steps = (tmp_path / "steps.log").read_text().splitlines()
    assert len(steps) == len(set(steps)) == 9 * 10


def test_a_killed_partner_s_trial_is_its_own_to_finish(slow, sweep, start, table, tmp_path):
    sweep |= {"sweep_max_count": 6, "storage": f"sqlite:///{tmp_path}/study.db"}
    first = start(slow, sweep, folder="one")
    while not list(tmp_path.glob("one/out/trials/trial_1/metrics.jsonl")) and first.poll() is None:
        time.sleep(0.01)
    first.kill()
    first.communicate()
    finish(start(slow, sweep, folder="two"))
    rows = {row["number"]: row["state"] for row in table(tmp_path / "two/out")}
    assert list(rows.values()).count("running") == 1
    finish(start(slow, sweep, "--resume", "true", folder="one"))
    assert {row["state"] for row in table(tmp_path / "one/out")} == {"complete"}
    assert len(table(tmp_path / "one/out")) == 6


def test_each_worker_has_its_share_of_the_machine():
    from data_juicer_sandbox.search.executors import core_share

    there = sorted(os.sched_getaffinity(0))
    shares = [core_share(place, 2) for place in range(2)]
    assert sorted({core for one in shares for core in one}) == there
    if len(there) > 1:
        assert not set(shares[0]) & set(shares[1])
    assert all(len(core_share(place, len(there) + 3)) == 1 for place in range(len(there) + 3))


def test_each_worker_sees_one_gpu_in_turn(monkeypatch):
    from data_juicer_sandbox.search.executors import gpu_environment

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [gpu_environment(place) for place in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": number} for number in ("3", "5", "3")
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu_environment(0) == {}


def test_no_value_of_the_config_is_on_a_command_line(slow, sweep, start, tmp_path):
    marker = "a-marker-that-nobody-else-has-73102"
    give = {"hook": "GeneralProbeHook", "extra_configs": {"type": "toy_lab.steps.Give", "value": marker}}
    slow["pipelines"]["use"]["probe_job_configs"] = [give]
    process = start(slow, {**sweep, "sweep_max_count": 4, "n_jobs": 2})
    shown, n_workers = b"", 0
    while process.poll() is None:
        for path in Path("/proc").glob("[0-9]*"):
            try:
                arguments, environment = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
            except OSError:
                continue  # gone meanwhile
            n_workers += b"--multiprocessing-fork" in arguments
            shown += arguments + environment if marker.encode() in arguments + environment else b""
    finish(process)
    assert n_workers
    assert shown == b""
