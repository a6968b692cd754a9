"""The twelve hooks: all there, each with components that exist; and those that do more than pass on."""

import json
import pickle
import random

import pytest
import yaml

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks import HOOKS, find_hook
from data_juicer_sandbox.signatures import parameters


def test_all_twelve_are_there_and_every_factory_has_one():
    hooks = [find_hook(name) for name in HOOKS]
    assert len(hooks) == 12
    assert {hook.factory for hook in hooks if hook.factory} == set(FACTORIES)
    assert {phase for hook in hooks for phase in hook.phases} == set(Phase)
    assert all(hook.__doc__ for hook in hooks)


@pytest.mark.parametrize("name", list(HOOKS))
def test_every_component_of_a_hook_can_be_imported_and_tells_its_parameters(name):
    hook = find_hook(name)
    types = FACTORIES[hook.factory].builtin if hook.factory else [None]
    for type_name in types:
        component = hook.component_class({"type": type_name})
        assert callable(component.run)
        known, _ = parameters(component)
        documented = "".join(cls.__doc__ or "" for cls in component.__mro__)  # a base documents shared parameters
        for parameter in known:
            assert f"        {parameter}: " in documented, f"{component.__name__} does not document {parameter}"


@pytest.fixture
def rows(tmp_path):
    draw = random.Random(3)
    with (tmp_path / "rows.jsonl").open("w") as stream:
        for _ in range(400):
            size = draw.randint(5, 300)
            stream.write(json.dumps({"text": "".join(draw.choices("abcde ", k=size))}) + "\n")
    return tmp_path / "rows.jsonl"


def test_a_model_is_asked_about_a_sample_and_its_feedback_refines_the_recipe(config_file, dj_sandbox, tmp_path, rows):
    """Probe by the analyser and by a model, then refine by what the model says: it likes texts of 100 characters up."""
    recipe = {
        "dataset_path": "rows.jsonl",
        "export_path": "out/x.jsonl",
        "process": [{"text_length_filter": {"min_len": 1}}],
    }
    config_file(
        {
            "work_dir": "out",
            "probe_job_configs": [
                {"hook": "ProbeViaAnalyzerHook", "meta_name": "stats", "output": "analyzed", "dj_configs": recipe},
                {
                    "hook": "ProbeViaModelInferHook",
                    "meta_name": "quarter",
                    "output": ["feedback", "summary"],
                    "dj_configs": {**recipe, "data_probe_ratio": 0.25},
                    "extra_configs": {"type": "toy_lab.judge.LengthJudge", "limit": 100},
                },
                {
                    "hook": "ProbeViaModelInferHook",
                    "meta_name": "another_quarter",
                    "output": ["feedback", "summary"],
                    "dj_configs": {"data_probe_ratio": 0.25},
                    "extra_configs": {"type": "toy_lab.judge.LengthJudge", "dataset_path": "rows.jsonl", "limit": 100},
                },
                {
                    "hook": "ProbeViaModelInferHook",
                    "meta_name": "as_it_is",
                    "output": ["feedback", "summary"],
                    "dj_configs": recipe,
                    "extra_configs": {"type": "toy_lab.judge.LengthJudge", "limit": 100},
                },
                {
                    "hook": "ProbeViaModelInferHook",
                    "meta_name": "all",
                    "output": ["feedback", "summary"],
                    "extra_configs": {"type": "toy_lab.judge.LengthJudge", "dataset_path": "rows.jsonl", "limit": 100},
                },
            ],
            "refine_recipe_job_configs": [
                {
                    "hook": "RefineRecipeViaModelFeedbackHook",
                    "meta_name": "refine",
                    "output": ["recipe", "evidence"],
                    "input": {
                        "extra_configs.analyzed_path": "stats.analyzed",
                        "extra_configs.feedback_path": "all.feedback",
                    },
                    "dj_configs": recipe,
                    "extra_configs": {"feedback_key": "score", "higher_is_better": True},
                }
            ],
            "execution_job_configs": [
                {
                    "hook": "InferModelHook",
                    "meta_name": "infer",
                    "extra_configs": {"type": "toy_lab.judge.LengthJudge", "dataset_path": "rows.jsonl", "limit": 5},
                }
            ],
        }
    )
    made = dj_sandbox("--config", "sandbox.yaml")
    assert made.returncode == 0, made.stderr
    (pipelines,) = pickle.loads((tmp_path / "out/context_infos.pkl").read_bytes())
    records = {record["meta_name"]: record for record in pipelines["anonymous"]}
    assert records["quarter"]["summary"]["rows"] == 100
    assert records["another_quarter"]["summary"]["rows"] == 100
    assert records["as_it_is"]["summary"]["rows"] == records["all"]["summary"]["rows"] == 400
    assert not (tmp_path / "out/jobs/anonymous/as_it_is/sample.jsonl").exists()
    refined = yaml.safe_load((tmp_path / records["refine"]["recipe"]).read_text())
    assert 95 <= refined["process"][0]["text_length_filter"]["min_len"] <= 105
    (accepted,) = [one for one in records["refine"]["evidence"] if one["accepted"]]
    assert accepted["new"] == refined["process"][0]["text_length_filter"]["min_len"]
    assert records["infer"]["res_2"]["rows"] == 400
