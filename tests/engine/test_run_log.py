"""The log of a run: what it says about outputs."""

from __future__ import annotations

from pathlib import Path

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.engine.runner import LOGGED_CHARACTERS


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
