"""The log of a run: what it says about outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.engine.runner import LOGGED_CHARACTERS, JobFailed


def test_a_large_output_is_cut_in_the_log_and_whole_in_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = {"rows": ["row"] * 20_000, "last": "end_of_value"}
    job = {
        "hook": "GeneralProbeHook",
        "meta_name": "large",
        "output": "value",
        "extra_configs": {"type": "toy_lab.steps.Give", "value": value},
    }
    results = Sandbox({"work_dir": "out", "probe_job_configs": [job]}).run()
    assert results["anonymous.large.value"] == value
    (line,) = [line for line in Path("out/sandbox.log").read_text().splitlines() if "large done in" in line]
    assert LOGGED_CHARACTERS < len(line) < LOGGED_CHARACTERS + 200
    assert line.endswith("…")


class Panic(BaseException):
    """As libraries in Rust raise it: no `Exception`, so that nobody catches it by accident."""


class Panics(Component):
    """Fails like a library in Rust."""

    def run(self, job: JobRun) -> None:
        """Raise."""
        raise Panic("retry-limit-in-match over")


def test_a_panic_of_a_library_fails_its_job_and_is_in_the_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = {"hook": "GeneralProbeHook", "meta_name": "rust", "extra_configs": {"type": f"{__name__}.Panics"}}
    with pytest.raises(JobFailed, match=r"anonymous\.rust") as failed:
        Sandbox({"work_dir": "out", "probe_job_configs": [job]}).run()
    assert failed.value.cause == "Panic: retry-limit-in-match over"
    assert "job anonymous.rust failed: Panic: retry-limit-in-match over" in Path("out/sandbox.log").read_text()
    assert Path("out/report.html").is_file()
