"""Trials on W&B: one run each in the sweep's group; and the sweep as W&B itself takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from wandb_file import records

pytest.importorskip("optuna", reason="pip install 'data-juicer-sandbox[study]'")

RATE = "use.learn.extra_configs.rate"


def test_each_trial_is_a_run_of_the_sweep_s_group(lab, sweep, tmp_path, support_path, table):
    pytest.importorskip("wandb")
    sweep["sweep_max_count"] = 2
    (tmp_path / "sandbox.yaml").write_text(yaml.safe_dump(lab, sort_keys=False))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    done = subprocess.run(
        [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "sandbox.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": support_path, "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    rows = table(tmp_path / "out")
    for number in range(2):
        (file,) = (tmp_path / f"out/trials/trial_{number}").glob("wandb/offline-run-*/*.wandb")
        runs = [record.run for record in records(file) if record.WhichOneof("record_type") == "run"]
        assert {run.run_group for run in runs} == {"toy"}
        assert {run.display_name for run in runs} == {f"experiment1-trial_{number}"}
        config = {update.key: json.loads(update.value_json) for run in runs for update in run.config.update}
        assert config["parameters"] == {RATE: float(rows[number][RATE])}


def test_the_sweep_as_wandb_takes_it(tmp_path):
    from data_juicer_sandbox.config.sweep import read_sweep
    from data_juicer_sandbox.engine.search.wandb_agent import for_wandb

    Path(tmp_path / "sweep.yaml").write_text(
        "sweep_name: s\nsweep_max_count: 4\nbackend: wandb\nmethod: bayes\nseed: 3\nn_jobs: 2\n"
        "metric: {name: a.b, goal: maximize, target: 0.9}\n"
        "early_terminate: {type: hyperband, min_iter: 3, metric: a.c}\n"
        "parameters:\n  op: {parameters: {low: {min: 1, max: 5}}}\n  x.y.extra_configs.z: {values: [1, 2]}\n"
    )
    sweep, problems = read_sweep(str(tmp_path / "sweep.yaml"), {})
    assert not problems
    assert for_wandb(sweep) == {
        "name": "s",
        "method": "bayes",
        "metric": {"name": "a.b", "goal": "maximize", "target": 0.9},
        "early_terminate": {"type": "hyperband", "min_iter": 3},
        "parameters": {"op.low": {"min": 1, "max": 5}, "x.y.extra_configs.z": {"values": [1, 2]}},
    }
