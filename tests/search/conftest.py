"""A search over a run of three jobs: rows that all trials share, their scaling, a descent; and ways to look at it."""

from __future__ import annotations

import csv
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_juicer_sandbox.cli.main import main

TOY = "toy_lab.steps."
RATE = "use.learn.extra_configs.rate"
FACTOR = "use.scale.extra_configs.factor"


def job(name: str, type_name: str, hook: str = "GeneralDataExecutorHook", **keys: Any) -> dict[str, Any]:
    return {"hook": hook, "meta_name": name, "extra_configs": {"type": TOY + type_name, **keys}}


@pytest.fixture
def lab() -> dict[str, Any]:
    rows = {**job("rows", "MakeRows", export_path="out/data/rows.jsonl", rows=10), "output": "path"}
    scale = {
        **job("scale", "ScaleRows", export_path="out/data/scaled.jsonl"),
        "input": {"extra_configs.dataset_path": "make.rows.path"},
        "output": ["path", "n"],
    }
    total = {
        **job("sum", "SumRows", "EvaluateDataHook"),
        "input": {"extra_configs.dataset_path": "scale.path"},
        "output": "sums",
    }
    learn = {**job("learn", "Descend", rate=0.1, steps=8), "output": "loss"}
    return {
        "work_dir": "out",
        "hpo_config": "sweep.yaml",
        "pipelines": {
            "make": {"execution_job_configs": [rows]},
            "use": {"execution_job_configs": [scale, learn], "evaluation_job_configs": [total]},
        },
    }


@pytest.fixture
def sweep() -> dict[str, Any]:
    return {
        "sweep_name": "toy",
        "plots": False,  # they take seconds, and one test looks at them
        "sweep_max_count": 6,
        "method": "random",
        "metric": {"name": "use.learn.loss", "goal": "minimize"},
        "parameters": {RATE: {"min": 0.01, "max": 0.9}},
    }


@pytest.fixture
def go(config_file: Callable[..., Path]) -> Callable[..., int]:
    """Run a search in this process; returns the exit code."""

    def call(lab: dict[str, Any], sweep: dict[str, Any], *arguments: str) -> int:
        config_file(sweep, "sweep.yaml")
        return main(["--config", str(config_file(lab)), *arguments])

    return call


@pytest.fixture
def start(tmp_path: Path, support_path: str) -> Callable[..., subprocess.Popen[str]]:
    """Start a search in a process of its own, in a folder of its own."""

    def call(lab: dict[str, Any], sweep: dict[str, Any], *arguments: str, folder: str = ".") -> subprocess.Popen[str]:
        there = tmp_path / folder
        there.mkdir(exist_ok=True)
        (there / "sandbox.yaml").write_text(yaml.safe_dump(lab, sort_keys=False))
        (there / "sweep.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
        return subprocess.Popen(
            [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "sandbox.yaml", *arguments],
            cwd=there,
            env={**os.environ, "PYTHONPATH": support_path},
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


@pytest.fixture
def table() -> Callable[..., list[dict[str, str]]]:
    """The rows of `trials.csv`."""

    def call(work_dir: str | Path = "out") -> list[dict[str, str]]:
        with (Path(work_dir) / "trials.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    return call


@pytest.fixture
def started() -> Callable[..., dict[str, int]]:
    """How often each job was started, in the shared run (`''`) and in each trial's folder."""

    def call(work_dir: str | Path = "out") -> dict[str, int]:
        counts: dict[str, int] = {}
        for file in [Path(work_dir) / "metrics.jsonl", *Path(work_dir).glob("trials/*/metrics.jsonl")]:
            for line in file.read_text().splitlines():
                row = json.loads(line)
                if row.get("event") == "start":
                    counts[row["job"]] = counts.get(row["job"], 0) + 1
        return counts

    return call


@pytest.fixture
def outputs() -> Callable[[str], dict[str, Any]]:
    """All outputs in a checkpoint, by job."""

    def call(work_dir: str) -> dict[str, Any]:
        context = pickle.loads((Path(work_dir) / "context_infos.pkl").read_bytes())
        return {
            record["meta_name"]: {key: value for key, value in record.items() if key != "__job__"}
            for records in context[-1].values()
            for record in records
        }

    return call
