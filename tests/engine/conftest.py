"""A small real run of three pipelines, and ways to look at it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main

TOY = "toy_lab.steps."
CHAIN: dict[str, Any] = {
    "work_dir": "out",
    "pipelines": {
        "make": {
            "execution_job_configs": [
                {
                    "hook": "GeneralDataExecutorHook",
                    "meta_name": "rows",
                    "output": "path",
                    "extra_configs": {"type": TOY + "MakeRows", "export_path": "out/data/rows.jsonl", "rows": 30},
                },
                {
                    "hook": "GeneralDataExecutorHook",
                    "meta_name": "other",
                    "extra_configs": {"type": TOY + "MakeRows", "export_path": "out/data/other.jsonl", "seed": 5},
                },
            ]
        },
        "use": {
            "execution_job_configs": [
                {
                    "hook": "GeneralDataExecutorHook",
                    "meta_name": "scale",
                    "input": {"extra_configs.dataset_path": "make.rows.path"},
                    "output": ["path", "n"],
                    "extra_configs": {"type": TOY + "ScaleRows", "export_path": "out/data/scaled.jsonl"},
                }
            ],
            "evaluation_job_configs": [
                {
                    "hook": "EvaluateDataHook",
                    "meta_name": "sum_scaled",
                    "input": {"extra_configs.dataset_path": "scale.path"},
                    "extra_configs": {"type": TOY + "SumRows"},
                },
                {
                    "hook": "EvaluateDataHook",
                    "meta_name": "sum_other",
                    "extra_configs": {"type": TOY + "SumRows", "dataset_path": "out/data/other.jsonl"},
                },
            ],
        },
    },
}


@pytest.fixture
def chain() -> dict[str, Any]:
    return copy.deepcopy(CHAIN)


@pytest.fixture
def go(config_file: Callable[..., Path]) -> Callable[..., int]:
    """Run a config; returns the exit code."""

    def call(config: dict[str, Any], *arguments: str) -> int:
        return main(["--config", str(config_file(config)), *arguments])

    return call


@pytest.fixture
def reasons(config_file: Callable[..., Path]) -> Callable[[dict[str, Any]], dict[str, str]]:
    """Which jobs a resumed run would run, with the reason."""

    def call(config: dict[str, Any]) -> dict[str, str]:
        plan = Sandbox(config_file(config)).plan(resume=True)
        return {step.planned_job.job.meta_name: step.reason for step in plan if step.runs}

    return call


@pytest.fixture
def attempts() -> Callable[[], dict[str, int]]:
    """How often each job was started, by the metrics file."""

    def call() -> dict[str, int]:
        counts: dict[str, int] = {}
        for line in Path("out/metrics.jsonl").read_text().splitlines():
            row = json.loads(line)
            if row.get("event") == "start":
                counts[row["job"]] = counts.get(row["job"], 0) + 1
        return counts

    return call
