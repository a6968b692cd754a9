"""The user guide's chain as it is written there, with the real Data-Juicer: probe, refine by k-sigma, process, probe.

The recipe that the third job reads does not exist before the second has run; the refine job bears the probe's name.
"""

from __future__ import annotations

import json
import pickle
import pydoc_data.topics
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

GUIDE = """\
project_name: 'demo-sandbox'
experiment_name: 'demo-sandbox-run0'
work_dir: './outputs/demo-sandbox'
hpo_config: null

probe_job_configs:
  - hook: 'ProbeViaAnalyzerHook'
    meta_name: 'analysis_ori_data'
    dj_configs: 'configs/demo/process.yaml'
    extra_configs:

refine_recipe_job_configs:
  - hook: 'RefineRecipeViaKSigmaHook'
    meta_name: 'analysis_ori_data'
    dj_configs: 'configs/demo/process.yaml'
    extra_configs:
      path_k_sigma_recipe: './outputs/demo-process/k_sigma_new_recipe.yaml'
      k: 1

execution_job_configs:
  - hook: 'ProcessDataHook'
    meta_name:
    dj_configs: './outputs/demo-process/k_sigma_new_recipe.yaml'
    extra_configs:

evaluation_job_configs:
  - hook: 'ProbeViaAnalyzerHook'
    meta_name: 'analysis_processed_data'
    dj_configs: 'configs/demo/process.yaml'
    local:
      dj_configs.dataset_path: './outputs/demo-process/demo-processed.jsonl'
    extra_configs:
"""
RECIPE = {
    "project_name": "demo-process",
    "dataset_path": "texts.jsonl",
    "export_path": "./outputs/demo-process/demo-processed.jsonl",
    "np": 1,
    "process": [
        {"text_length_filter": {"min_len": 10, "max_len": 100000}},
        {"words_num_filter": {"tokenization": False, "min_num": 1, "max_num": 100000}},
        {"special_characters_filter": {"min_ratio": 0.0, "max_ratio": 0.9}},
    ],
}


@pytest.fixture
def guide(config_file, tmp_path):
    with (tmp_path / "texts.jsonl").open("w") as stream:
        for name, text in sorted(pydoc_data.topics.topics.items()):
            stream.write(json.dumps({"text": text, "meta": {"topic": name}}) + "\n")
    config_file(RECIPE, "configs/demo/process.yaml")
    return config_file(GUIDE)


def records(folder):
    (pipelines,) = pickle.loads((folder / "outputs/demo-sandbox/context_infos.pkl").read_bytes())
    return pipelines["anonymous"]


def test_the_guides_example_runs_and_survives_a_kill_before_every_job(guide, dj_sandbox, tmp_path, support_path):
    made = dj_sandbox("validate", "--config", "sandbox.yaml")
    assert made.returncode == 0, made.stderr

    # Killed right after the probe and again after the refine job: the table is found in the metrics file each time.
    for n, resume in ((1, "false"), (1, "true")):
        doomed = subprocess.run(
            [sys.executable, "-m", "toy_lab.doomed", "after", str(n), "--config", "sandbox.yaml", "--resume", resume],
            cwd=tmp_path, env={"PYTHONPATH": support_path, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert doomed.returncode == -signal.SIGKILL, doomed.stderr
    made = dj_sandbox("--config", "sandbox.yaml", "--resume", "true")
    assert made.returncode == 0, made.stderr
    assert made.stderr.count(" kept: ") == 2

    probe, refine, process, after = records(tmp_path)
    assert probe["meta_name"] == refine["meta_name"] == "analysis_ori_data"
    assert process["meta_name"] == "execution_1_ProcessDataHook"
    recipe = yaml.safe_load((tmp_path / refine["res_1"]).read_text())
    old, new = (r["process"][0]["text_length_filter"]["max_len"] for r in (RECIPE, recipe))
    assert new < old
    assert isinstance(new, int)
    kept = [json.loads(line) for line in (tmp_path / process["res_1"]).read_text().splitlines()]
    total = len((tmp_path / "texts.jsonl").read_text().splitlines())
    assert 0 < len(kept) < total
    assert all(len(row["text"]) <= new for row in kept)
    analyzed = [json.loads(line) for line in Path(tmp_path, after["res_1"]).read_text().splitlines()]
    assert [row["text"] for row in analyzed] == [row["text"] for row in kept]
    assert all(row["__dj__stats__"]["text_len"] == len(row["text"]) for row in analyzed)

    made = dj_sandbox("--config", "sandbox.yaml", "--resume", "true")  # a finished run resumed does nothing
    assert made.returncode == 0
    assert made.stderr.count(" kept: ") == 4


def test_a_wrong_op_is_found_before_any_work(guide, dj_sandbox, tmp_path):
    text = (tmp_path / "configs/demo/process.yaml").read_text()
    (tmp_path / "configs/demo/process.yaml").write_text(
        text.replace("words_num_filter", "word_num_filter").replace("min_len", "min_length")
    )
    made = dj_sandbox("--config", "sandbox.yaml")
    assert made.returncode == 2
    assert "configs/demo/process.yaml:" in made.stderr
    assert "did you mean `words_num_filter`" in made.stderr
    assert "min_len" in made.stderr
    assert not (tmp_path / "outputs").exists()
