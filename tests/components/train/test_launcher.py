from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from training_workers import workers

from data_juicer_sandbox.components.train import launcher
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("torch", reason="needs the extra `train`")


@pytest.fixture
def pools(jsonl, docstrings):
    return [
        jsonl(f"{name}.jsonl", [{"text": text} for text in docstrings[start : start + 60]])
        for name, start in (("low", 0), ("high", 60))
    ]


def test_side_by_side_gives_the_same_bytes_and_metrics_as_one_after_the_other(job, quiet, other_job, pools, tiny):
    beside = HuggingFaceTrainer(pools, max_parallel=2, **tiny).run(job)
    after = HuggingFaceTrainer(pools, **tiny).run(other_job)
    assert [Path(path).name for path in beside] == ["low_seed42", "high_seed42"]
    assert [digest(path) for path in beside] == [digest(path) for path in after]

    def told(watcher):
        return sorted(
            (name, step, figures["loss"], figures["learning_rate"])
            for step, values in watcher.values
            for name, figures in values.items()
        )

    assert len(told(quiet)) == 64
    assert told(quiet) == told(other_job.watcher)
    HuggingFaceTrainer(pools, max_parallel=2, **tiny).run(job)  # nothing to do, and nothing is started
    assert len(quiet.values) == 66


def test_a_failure_names_the_model(job, pools, tiny, jsonl):
    bad = jsonl("bad.jsonl", [{"text": "fine"}, {"body": "no text"}])
    with pytest.raises(JobError, match=r"training bad_seed42: .*bad.jsonl:2: 'text' is missing"):
        HuggingFaceTrainer(
            [pools[0], bad], max_parallel=2, tokenizer_per_dataset=True, **{**tiny, "max_tokens": 10_000_000}
        ).run(job)
    assert not (job.folder / "low_seed42").exists()


@pytest.mark.parametrize(("idle", "expected"), [(2.0, 2), (1.6, 2), (0.4, 1), (40.0, 2)])
def test_small_models_are_trained_in_parallel_as_far_as_cores_are_idle(job, quiet, pools, monkeypatch, idle, expected):
    monkeypatch.setattr("data_juicer_sandbox.components.train.huggingface.idle_cores", lambda: idle)
    trainer = HuggingFaceTrainer(pools)
    assert trainer.parallel(job, 2) == expected
    assert trainer.cpu_threads() == 1
    assert quiet.query("a_job") == {"models_at_a_time": expected, "threads_per_model": 1}


def test_what_the_user_sets_is_not_changed_and_a_short_training_starts_no_processes(job, quiet, pools, monkeypatch):
    monkeypatch.setattr(
        "data_juicer_sandbox.components.train.huggingface.idle_cores", lambda: pytest.fail("measured for nothing")
    )
    assert HuggingFaceTrainer(pools, max_parallel=3).parallel(job, 2) == 3
    assert HuggingFaceTrainer(pools, max_parallel=1).cpu_threads() is None
    assert HuggingFaceTrainer(pools, threads=2).cpu_threads() == 2
    assert HuggingFaceTrainer(pools, max_tokens=1000).parallel(job, 2) == 1
    assert HuggingFaceTrainer(pools[0]).parallel(job, 1) == 1
    large = HuggingFaceTrainer(pools, n_embd=1024, n_layer=8)
    assert (large.parallel(job, 2), large.cpu_threads()) == (1, None)


def test_idle_threads_of_a_worker_do_not_spin(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert launcher._environment([], 0, 1)["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert launcher._environment([], 0, 1)["OMP_WAIT_POLICY"] == "ACTIVE"


SCRIPT = """
import json, pathlib, sys
from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
class Loud(NullJob):
    def watch(self, values, step=None):
        print(step, *values, flush=True)
loud = Loud()
HuggingFaceTrainer(**json.loads(sys.argv[2])).run(JobRun("p", "n", pathlib.Path(sys.argv[1]), loud, loud))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_end_of_the_run_ends_all_workers_and_they_go_on_the_next_time(job, other_job, pools, tiny, how):
    settings = {**tiny, "max_tokens": 200_000, "save_steps": 20}
    config = json.dumps({"dataset_path": pools, "max_parallel": 2, **settings})
    argv = [sys.executable, "-c", SCRIPT, str(job.folder), config]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        seen = {}
        for line in process.stdout:
            step, name = line.split()
            seen[name] = int(step)
            if len(seen) == 2 and min(seen.values()) > 50:
                break
        assert workers(job.folder)
        os.kill(process.pid, how)
    assert process.returncode not in (0, 1) or how == signal.SIGINT
    until = time.monotonic() + 20
    while workers(job.folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert workers(job.folder) == []

    models = HuggingFaceTrainer(pools, max_parallel=2, **settings).run(job)
    assert min(step for step, _ in job.watcher.values) > 20
    whole = HuggingFaceTrainer(pools, **settings).run(other_job)
    assert [digest(path) for path in models] == [digest(path) for path in whole]


@pytest.mark.slow
def test_processes_that_train_one_model_together_do_the_same_steps(job, quiet, other_job, pools, tiny):
    settings = {**tiny, "max_tokens": 4001}  # the last step is one of a single token
    (together,) = HuggingFaceTrainer(pools[0], num_processes=2, **settings).run(job)
    HuggingFaceTrainer(pools[0], **settings).run(other_job)
    one, two = ([values["low_seed42"]["loss"] for _, values in w.values] for w in (quiet, other_job.watcher))
    assert len(one) == 32
    assert one == pytest.approx(two, rel=1e-3)
    assert json.loads((Path(together) / "training.json").read_text())["parameters"]["num_processes"] == 2
    assert [path.name for path in job.folder.iterdir()] == ["low_seed42"]
