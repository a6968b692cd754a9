"""Trials on W&B: one run each in the sweep's group; and the sweep as W&B itself takes it."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from wandb_file import records

pytest.importorskip("optuna", reason="pip install -e '.[search]'")
wandb = pytest.importorskip("wandb", reason="pip install -e '.[wandb]'")

RATE = "use.learn.extra_configs.rate"


def test_each_trial_is_a_run_of_the_sweep_s_group(lab, sweep, tmp_path, support_path, table):
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
    from data_juicer_sandbox.search.wandb import wandb_sweep_config

    Path(tmp_path / "sweep.yaml").write_text(
        "sweep_name: s\nsweep_max_count: 4\nbackend: wandb\nmethod: bayes\nseed: 3\nn_jobs: 2\n"
        "metric: {name: a.b, goal: maximize, target: 0.9}\n"
        "early_terminate: {type: hyperband, min_iter: 3, metric: a.c, goal: minimize}\n"
        "parameters:\n  op: {parameters: {low: {min: 1, max: 5}}}\n  x.y.extra_configs.z: {values: [1, 2]}\n"
    )
    sweep, problems = read_sweep(str(tmp_path / "sweep.yaml"), {})
    assert not problems
    assert wandb_sweep_config(sweep) == {
        "name": "s",
        "method": "bayes",
        "metric": {"name": "a.b", "goal": "maximize", "target": 0.9},
        "early_terminate": {"type": "hyperband", "min_iter": 3},
        "parameters": {"op.low": {"min": 1, "max": 5}, "x.y.extra_configs.z": {"values": [1, 2]}},
    }


class Server:
    """Stands for W&B's server, which cannot be had here; its calls are bound to the library's own signatures."""

    def __init__(self, choices):
        self.choices, self.sweeps, self.runs = choices, [], []

    def sweep(self, *args, **keys):
        inspect.signature(wandb.sweep).bind(*args, **keys)
        self.sweeps.append(args[0])
        return "s1"

    def agent(self, *args, **keys):
        inspect.signature(wandb.agent).bind(*args, **keys)
        assert args == ("s1",)
        for _ in range(keys["count"]):
            keys["function"]()

    def init(self, **keys):
        inspect.signature(wandb.init).bind(**keys)
        run = Run(self.choices[len(self.runs)])
        self.runs.append(run)
        return run


class Run:
    def __init__(self, config):
        self.config, self.logged, self.summary, self.code = config, [], {}, 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def log(self, values):
        self.logged.append(values)

    def finish(self, exit_code=0):
        self.code = exit_code


def test_the_agent_says_the_values_and_hears_the_metric(lab, sweep, go, started, monkeypatch):
    lab["pipelines"]["use"]["execution_job_configs"][1]["extra_configs"]["fail_above"] = 0.5
    server = Server([{RATE: 0.1}, {RATE: 0.6}, {RATE: 0.3}])
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    for name in ("sweep", "agent", "init"):
        monkeypatch.setattr(wandb, name, getattr(server, name))
    assert go({**lab, "watchers": "local"}, {**sweep, "backend": "wandb", "sweep_max_count": 3}) == 0
    assert server.sweeps == [
        {
            "name": "toy",
            "method": "random",
            "metric": {"name": "use.learn.loss", "goal": "minimize"},
            "parameters": {RATE: {"min": 0.01, "max": 0.9}},
        }
    ]
    losses = [[values["use.learn.loss"] for values in run.logged if "step" not in values] for run in server.runs]
    assert losses == [[pytest.approx(9 * 0.8**16)], [], [pytest.approx(9 * 0.4**16)]]
    assert [run.summary["state"] for run in server.runs] == ["complete", "failed", "complete"]
    assert [run.code for run in server.runs] == [0, 1, 0]
    assert started() == {"rows": 1, "scale": 1, "sum": 1, "learn": 3}
    server.choices += [{RATE: 0.2}]
    one = {**sweep, "backend": "wandb", "sweep_max_count": 1}
    assert go({**lab, "watchers": "local"}, one, "--resume", "true") == 0
    assert len(server.sweeps) == 1  # the same sweep goes on
    assert Path("out/trials/trial_3").is_dir()
