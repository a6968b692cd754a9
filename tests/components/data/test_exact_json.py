"""Columns of mixed values keep them in worker processes too, also in those that Data-Juicer starts for a GPU."""

from __future__ import annotations

import json

import pytest

OPS = """
import multiprocessing
from data_juicer.ops.base_op import OPERATORS, UNFORKABLE, Mapper


{decorator}
@OPERATORS.register_module("{name}")
class AddValue(Mapper):
    def process_single(self, sample):
        value = sample["meta"]["id"]
        sample["meta"] = {{"id": value, "small": 1.5e-12, "digits": "007"}}
        return sample
"""
VALUES = [1, "2", 1.5e-12, 9007199254740993, "null", 0.1234567890123456]


@pytest.mark.slow
@pytest.mark.parametrize("started", ["forked", "fresh"])
def test_values_stay_exact(dj_sandbox, config_file, tmp_path, started):
    """An OP that Data-Juicer lists as not forkable gets fresh processes, as one with `accelerator: cuda` does."""
    name = f"add_value_{started}_mapper"
    decorator = f'@UNFORKABLE.register_module("{name}")' if started == "fresh" else ""
    ops = tmp_path / f"{name}.py"
    ops.write_text(OPS.format(name=name, decorator=decorator))
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": "a", "meta": {"id": value}}) + "\n" for value in VALUES))
    recipe = {
        "dataset_path": str(data),
        "export_path": str(tmp_path / "made.jsonl"),
        "custom_operator_paths": [str(ops)],
        "process": [{name: {"num_proc": 2}}],
        "np": 2,
    }
    entry = {"hook": "ProcessDataHook", "meta_name": "p", "dj_configs": recipe}
    config_file({"work_dir": "out", "watchers": ["local"], "execution_job_configs": [entry]})
    done = dj_sandbox("sandbox.yaml", timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text().splitlines()]
    assert [row["meta"] for row in rows] == [{"id": value, "small": 1.5e-12, "digits": "007"} for value in VALUES]
