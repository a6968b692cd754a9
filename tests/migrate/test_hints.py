"""`validate` recognises names of the original where they are errors, and points to `migrate`."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.factories import FACTORIES

from .conftest import job, problems

POINTER = "`dj-sandbox migrate sandbox.yaml` rewrites a config of the original"


def evaluate(type_: object, **values: object) -> dict:
    return job("EvaluateDataHook", "evaluation", extra_configs={"type": type_, **values})


def api(**values: object) -> dict:
    values = {"type": "api", "model": "m", "dataset_path": "a.jsonl", "export_path": "o", **values}
    return job("InferModelHook", extra_configs=values)


def merge(path: str, **values: object) -> dict:
    extra = {"type": "data_pool_merging", "dataset_path": path, "export_path": "o"}
    return {"hook": "DataPoolManipulationHook", "extra_configs": extra, **values}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            evaluate("mse", predicted_value_key="p"),
            "unknown parameter 'predicted_value_key' ('predicted_key' is its name",
        ),
        (
            evaluate("vbench_video_evaluator"),
            "unknown type 'vbench_video_evaluator' for DataEvaluatorFactory (a component of",
        ),
        (evaluate("mse", env_name="e"), "unknown parameter 'env_name' (the component needs no environment"),
        (
            job("TrainModelHook", extra_configs={"type": "modelscope", "train": {}}),
            "(here it is a part of 'cfg_modify'",
        ),
        (
            job("EvaluateDataHook", "evaluation", output="s", extra_configs={"type": "dj_text_quality_classifier"}),
            "has 1 output names, but 3 output(s): score, results, scored (the original had fewer",
        ),
        ({"execution_job_configs": [merge("o/iter_1/x")]}, "(a single pass has no folder iter_<n>"),
        (
            {
                "execution_job_configs": [
                    merge("a.jsonl", meta_name="m"),
                    merge("a.jsonl", input={"extra_configs.x": "-1.0"}),
                ]
            },
            "has no output '0' (results without names are res_1, res_2",
        ),
        (api(api_endpoint="/chat/completions"), "http:// or https:// (its meaning is another here"),
        (
            api(build_messages_func="build_messages_for_math_qa", func_kwargs={"query_key": "q"}),
            "takes 'query_key' (its meaning",
        ),
        (api(model_params={"max_retries": 1}), "max_retries is not supported (its meaning is another here"),
    ],
)
def test_the_hint_names_the_command(config, expected, config_file, tmp_path, monkeypatch):
    monkeypatch.delitem(FACTORIES["DataEvaluatorFactory"].builtin, "vbench_video_evaluator", raising=False)
    (tmp_path / "a.jsonl").write_text("{}\n")
    config_file(config)
    matching = [text for text in problems("sandbox.yaml") if expected in text]
    assert matching, problems("sandbox.yaml")
    assert all(POINTER in text for text in matching)


@pytest.mark.parametrize(
    "config",
    [
        evaluate("mse", predicted_kye="p"),
        evaluate("msee"),
        evaluate(["mse"]),
        {"execution_job_configs": [merge("x"), merge("x", input={"extra_configs.x": "-1.path"})]},
    ],
)
def test_other_errors_have_their_own_hints(config, config_file):
    config_file(config)
    assert problems("sandbox.yaml")
    assert not any("migrate" in text for text in problems("sandbox.yaml"))


def test_a_metric_that_is_only_a_name(config_file):
    sweep = {"sweep_max_count": 1, "metric": {"name": "e"}, "parameters": {"mse.label_key": {"values": ["a"]}}}
    config_file(sweep, "sweep.yaml")
    values = {"type": "mse", "dataset_path": "a.jsonl"}
    config = job("EvaluateDataHook", "evaluation", meta_name="e", extra_configs=values)
    config_file({**config, "hpo_config": "sweep.yaml"})
    assert any("the metric 'e'" in text and "`dj-sandbox migrate`" in text for text in problems("sandbox.yaml"))
