"""The examples of the original's user guide are valid as they stand there, and `migrate` leaves them valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main

ONE_PIPELINE = """\
# Sandbox config example
# global parameters
project_name: 'demo-sandbox'
experiment_name: 'demo-sandbox-run0' # for wandb tracer name
hpo_config: null # path to a configuration file when using auto-HPO tool.
# configs for each job, the jobs will be executed according to the order in the list
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
execution_job_configs:
  - hook: 'ProcessDataHook'
    meta_name:
    dj_configs: './outputs/demo-process/k_sigma_new_recipe.yaml'
    extra_configs:
  - hook: 'TrainModelHook'
    meta_name:
    dj_configs:
    extra_configs: 'configs/demo/gpt3_extra_train_config.json'
evaluation_job_configs:
  - hook: 'ProbeViaAnalyzerHook'
    meta_name: 'analysis_processed_data'
    dj_configs: 'configs/demo/process.yaml'
    extra_configs:
  - hook: 'EvaluateDataHook'
    meta_name: 'eval_data'
    dj_configs:
    extra_configs: 'configs/demo/gpt3_data_quality_eval_config.yaml'
"""
JOBS = """
      - hook: 'ProbeViaAnalyzerHook'
        dj_configs: 'configs/demo/process.yaml'
"""
SEVERAL_PIPELINES = f"""\
project_name: 'demo-sandbox'
experiment_name: 'demo-sandbox-run0' # for wandb tracer name
hpo_config: null # path to a configuration file when using auto-HPO tool.
pipelines:
  pipeline_1:
    probe_job_configs:{JOBS}
  pipeline_2:
    probe_job_configs:{JOBS}
    refine_recipe_job_configs:
  pipeline_3:
    probe_job_configs:{JOBS}
    execution_job_configs:
"""
A_JOB = """\
pipelines:
  pipeline1:
    probe_job_configs:
      - hook: GeneralProbeHook
        meta_name: name3
        output: res4_key
        extra_configs: {type: toy_lab.steps.MakeRows, export_path: rows.jsonl}
      - hook: GeneralProbeHook
        meta_name: name4
        output: res5_key
        extra_configs: {type: toy_lab.steps.MakeRows, export_path: rows2.jsonl}
  pipeline2:
    probe_job_configs:
      - hook: GeneralProbeHook
        meta_name: job_xxx
        input:
          dj_configs.dataset_path: pipeline1.name3.res4_key
          extra_configs.meta_paths: -1.res5_key
        output: ['res6_key', 'res7_key']
        local:
          extra_configs.arg2: 42
        dj_configs: 'dj_configs.yaml'
        extra_configs:
          type: toy_lab.steps.TwoResults
          arg1: "arg1_val"
          arg2: 404
          meta_paths: "<placeholder>"
"""


@pytest.fixture
def files(config_file, tmp_path):
    """The files that the examples name, as they are for this version: the guide does not show them."""
    (tmp_path / "data.jsonl").write_text('{"text": "a text"}\n')
    recipe = {"dataset_path": "data.jsonl", "export_path": "./outputs/demo-process/demo-processed.jsonl", "process": []}
    recipe["process"] = [{"language_id_score_filter": {"lang": "zh", "min_score": 0.5}}]
    config_file(recipe, "configs/demo/process.yaml")
    config_file(recipe, "dj_configs.yaml")
    training = '{"type": "huggingface", "dataset_path": "./outputs/demo-process/demo-processed.jsonl"}'
    config_file(training, "configs/demo/gpt3_extra_train_config.json")
    quality = {"type": "dj_text_quality_classifier", "dataset_path": "./outputs/demo-process/demo-processed.jsonl"}
    config_file(quality, "configs/demo/gpt3_data_quality_eval_config.yaml")
    return config_file


@pytest.mark.parametrize("example", [ONE_PIPELINE, SEVERAL_PIPELINES, A_JOB], ids=["one", "several", "job"])
def test_it_is_valid_as_it_stands_and_after_migrate(example, files):
    files(example)
    Sandbox("sandbox.yaml").validate()
    assert main(["migrate", "sandbox.yaml"]) == 0
    path = Path("sandbox.migrated.yaml")
    assert path.exists() == (example != A_JOB)
    Sandbox(str(path) if path.exists() else "sandbox.yaml").validate()


def test_the_job_gets_what_the_guide_says(files):
    files(A_JOB)
    results = Sandbox("sandbox.yaml").run()
    assert results["pipeline2.job_xxx.res6_key"] == "arg1_val"
    assert results["pipeline2.job_xxx.res7_key"] == [42, "rows2.jsonl"]


def test_both_forms_exclude_each_other(files, dj_sandbox):
    files(SEVERAL_PIPELINES + "probe_job_configs: []\n")
    assert "cannot be used together" in dj_sandbox("validate", "--config", "sandbox.yaml").stderr
