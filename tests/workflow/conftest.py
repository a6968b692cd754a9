"""Planned jobs of the toy components, without a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.workflow.planned_job import PlannedJob, plan_job


def planned(name: str, component: str, phase: Phase = Phase.EXECUTION, **keys: Any) -> PlannedJob:
    """A planned job of a toy component. Keys that are not fields of `Job` are parameters of the component."""
    job_keys = {key: keys.pop(key) for key in ("pipeline", "input", "local", "output") if key in keys}
    extra = {"type": f"toy_lab.steps.{component}", **keys}
    job = Job(
        **{"pipeline": "p", **job_keys},
        phase=phase,
        position=1,
        hook="GeneralDataExecutorHook",
        meta_name=name,
        named=True,
        extra_configs=extra,
    )
    result = plan_job(job, {})
    assert result.problems == []
    return result


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Callable[..., PlannedJob]:
    monkeypatch.chdir(tmp_path)
    return planned
