"""Every built-in component, tracker and the sample plug-in pass the checks that plug-in authors use.

Components that need a model, a GPU or a server are checked as classes only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_juicer_sandbox.factories import FACTORIES, import_class
from data_juicer_sandbox.hooks import HOOKS, find_hook
from data_juicer_sandbox.testing import check_component, check_component_class, check_tracker
from data_juicer_sandbox.watchers.local import LocalTracker

sys.path.append(str(Path(__file__).parent / "support/plugin"))
from lab_extras import CountRows, PlainFile  # the plug-in of test_plugins.py, not installed

POOLS = ["a.jsonl", "b.jsonl"]
RUNS: dict[str, dict[str, Any]] = {
    "data_pool_construction": {"dataset_path": "a.jsonl", "export_path": "pools", "ignore_stats": True},
    "data_pool_combination": {"dataset_path": POOLS, "export_path": "pools"},
    "data_pool_duplication": {"dataset_path": "a.jsonl", "export_path": "pools", "shuffle": True},
    "data_pool_downsampling": {"dataset_path": POOLS, "export_path": "pools", "target_num_samples": 2},
    "data_pool_merging": {"dataset_path": POOLS, "export_path": "merged.jsonl", "deduplicate": True},
    "data_pool_mixing": {"dataset_path": POOLS, "export_path": "mixed.jsonl", "total_num_samples": 4},
    "data_pool_cartesian_join": {
        "dataset_path_1": "a.jsonl", "dataset_path_2": "questions.jsonl", "export_path": "pools"
    },
    "data_pool_ranking": {"dataset_path": POOLS, "metrics": [1.5, 2]},
    "inline_rows": {"rows": ["a", "b"], "key": "text", "export_path": "rows.jsonl"},
    "unfold_lists": {"dataset_path": "lists.jsonl", "list_key": "items", "export_path": "unfolded.jsonl"},
    "coco_caption_to_dj_conversion": {"dataset_path": "coco.jsonl", "export_path": "converted.jsonl"},
    "coco_caption_meta_generation": {"dataset_path": "coco.jsonl", "export_path": "meta.json"},
    "dj_to_easyanimate_video_dataset_conversion": {"dataset_path": "videos.jsonl", "export_path": "videos.json"},
    "accuracy": {"dataset_path": ["answers.jsonl"], "label_path": "labels.jsonl"},
    "mse": {"dataset_path": "numbers.jsonl"},
    "text_quality_classifier": {
        "positive_path": "a.jsonl", "negative_path": "b.jsonl", "held_out": 0, "export_path": "classifier"
    },
    "ModelTrainExecutorFactory.command": {
        "argv": ["cp", "a.jsonl", "copy.jsonl"], "reads": "a.jsonl", "result": "copy.jsonl"
    },
    "ModelEvaluatorFactory.command": {
        "argv": ["cp", "metrics.json", "copy.json"], "reads": "metrics.json", "metrics_file": "copy.json"
    },
}  # fmt: skip
"""Values for the components that run here within seconds, by type, or by factory and type."""

RECIPE = {"dataset_path": "a.jsonl", "export_path": "out.jsonl", "process": [{"text_length_filter": {"min_len": 1}}]}
READS = {"dataset_path": "a.jsonl"}
MODEL = {**READS, "model": "no/such-model"}
CONSTRUCTED: dict[str, dict[str, Any]] = {
    "DataExecutorFactory.data_juicer": {"dj_configs": RECIPE},
    "DataAnalyzerFactory.data_juicer": {"dj_configs": RECIPE},
    "GeneralDataExecutorFactory.python_docs_corpus": {"export_path": "out.jsonl"},
    "DataEvaluatorFactory.dj_text_quality_classifier": MODEL,
    "ModelInferEvaluatorFactory.huggingface": MODEL,
    "ModelInferEvaluatorFactory.modelscope": {**MODEL, "task": "classification"},
    "ModelTrainExecutorFactory.huggingface": {**MODEL, "method": "full"},
    "ModelTrainExecutorFactory.modelscope": {**MODEL, "trainer_name": "nlp-base-trainer", "export_path": "out"},
    "ModelTrainExecutorFactory.trl_sft": MODEL,
    "ModelTrainExecutorFactory.trl_dpo": MODEL,
    "ModelTrainExecutorFactory.trl_grpo": {**MODEL, "reward": "my_parts.reward"},
    "ModelInferExecutorFactory.api": {**MODEL, "export_path": "out.jsonl", "api_endpoint": "http://127.0.0.1:9"},
    "ModelInferExecutorFactory.huggingface": {**MODEL, "export_path": "out.jsonl"},
    "ModelInferExecutorFactory.vllm": {**MODEL, "export_path": "out.jsonl"},
    "ModelEvaluatorFactory.huggingface_perplexity": MODEL,
    "ModelEvaluatorFactory.lm_eval": {"model": "no/such-model", "tasks": ["arc_easy"], "python": "/bin/false"},
    "ModelEvaluatorFactory.evalscope": {"model": "no/such-model", "datasets": ["general_qa"]},
}
"""Values for the constructors of components that need more than a test has."""


def builtin_types() -> Iterator[tuple[str, type[Any]]]:
    """All built-in components by factory and type, and those that only a hook has."""
    for factory in FACTORIES.values():
        for name in factory.builtin:
            yield f"{factory.name}.{name}", factory.find(name)
    for name in HOOKS:
        if target := find_hook(name).component:
            yield name, import_class(target)


TYPES = dict(builtin_types())


def class_of(name: str) -> type[Any]:
    (cls,) = {cls for full, cls in TYPES.items() if name in (full, full.partition(".")[2])}
    return cls


def rows(path: Path, *items: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Small data sets of every shape that the values name."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    rows(folder / "a.jsonl", *({"text": f"good text {n}", "id": n} for n in range(6)))
    rows(folder / "b.jsonl", *({"text": f"bad words {n}", "id": n} for n in range(4)), {"text": "good text 0", "id": 0})
    rows(folder / "questions.jsonl", {"question": "why?"}, {"question": "how?"})
    rows(folder / "lists.jsonl", {"items": ["x", "y"]}, {"items": ["z"]})
    talk = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "a beetle"}]
    rows(folder / "coco.jsonl", *({"image": f"{n}.jpg", "conversations": talk} for n in range(3)))
    (folder / "0.jpg").touch()
    rows(folder / "videos.jsonl", *({"videos": [f"{n}.mp4"], "text": "<__dj__video> a beetle"} for n in range(3)))
    rows(folder / "answers.jsonl", {"predicted": "a"}, {"predicted": "b"})
    rows(folder / "labels.jsonl", {"label": "a"}, {"label": "c"})
    rows(folder / "numbers.jsonl", {"predicted": 1, "label": 2}, {"predicted": "x", "label": 2})
    (folder / "metrics.json").write_text('{"score": 1}\n')
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_a_built_in_component_conforms(name, inputs):
    check_component(class_of(name), RUNS[name], folder=inputs)


@pytest.mark.parametrize("name", CONSTRUCTED)
def test_the_class_of_a_heavy_component_conforms(name, inputs):
    check_component_class(TYPES[name], CONSTRUCTED[name], folder=inputs)


def test_the_refiner_by_sigma_conforms(inputs):
    cls, values = TYPES["RefineRecipeViaKSigmaHook"], {"dj_configs": RECIPE, "path_k_sigma_recipe": "new.yaml"}
    table = {"text_len.mean": 10.0, "text_len.std": 2.0, "text_len.count": 6.0}
    # The resumed run needs the metrics of a probe.
    check_component(cls, values, folder=inputs, metrics={"component": table}, skip=("resumable",))


def test_the_refiner_by_feedback_conforms(inputs):
    stats = [{"id": n, "__dj__stats__": {"text_len": n}} for n in range(200)]
    rows(inputs / "analyzed.jsonl", *stats)
    rows(inputs / "said.jsonl", *({"id": n, "score": float(n > 60)} for n in range(200)))
    values = {
        "dj_configs": RECIPE, "analyzed_path": "analyzed.jsonl", "feedback_path": "said.jsonl",
        "feedback_key": "score", "higher_is_better": True,
    }  # fmt: skip
    check_component(TYPES["RefineRecipeViaModelFeedbackHook"], values, folder=inputs)


def test_every_built_in_component_is_checked():
    refiners = {"RefineRecipeViaKSigmaHook", "RefineRecipeViaModelFeedbackHook"}
    assert {*map(class_of, RUNS), *(TYPES[name] for name in (*CONSTRUCTED, *refiners))} == set(TYPES.values())


def test_the_sample_plug_in_conforms(inputs):
    check_component(CountRows, {"dataset_path": "a.jsonl"}, folder=inputs)


@pytest.mark.parametrize("cls", [LocalTracker, PlainFile])
def test_a_tracker_conforms(cls, tmp_path):
    check_tracker(cls, folder=tmp_path)
