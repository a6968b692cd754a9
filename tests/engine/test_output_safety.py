"""No component deletes or overwrites what it did not write, whatever output path its config names.

Each component type that writes files runs with each kind of dangerous path. The user's files are compared before and
after; a file that stood at the output path may have got a dated name, with its content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.signatures import parameters

DATA = "data/in.jsonl"
HOOKS = {
    "DataPoolManipulatorFactory": "DataPoolManipulationHook",
    "GeneralDataExecutorFactory": "GeneralDataExecutorHook",
    "DataEvaluatorFactory": "EvaluateDataHook",
    "ModelInferEvaluatorFactory": "ProbeViaModelInferHook",
    "ModelTrainExecutorFactory": "TrainModelHook",
    "ModelInferExecutorFactory": "InferModelHook",
    "ModelEvaluatorFactory": "EvaluateModelHook",
}
PHASES = {
    "ProbeViaModelInferHook": "probe_job_configs",
    "RefineRecipeViaKSigmaHook": "refine_recipe_job_configs",
    "RefineRecipeViaModelFeedbackHook": "refine_recipe_job_configs",
    "EvaluateDataHook": "evaluation_job_configs",
    "EvaluateModelHook": "evaluation_job_configs",
}
READS = {"dataset_path": DATA}
MODEL = {**READS, "model": "no/such-model"}
# (factory, type) -> the kind of output (ending of a file, "new files" in a folder, "folder", "program"), other keys
CASES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("DataPoolManipulatorFactory", "data_pool_construction"): ("new files", {**READS, "ignore_stats": True}),
    ("DataPoolManipulatorFactory", "data_pool_combination"): ("new files", READS),
    ("DataPoolManipulatorFactory", "data_pool_duplication"): ("new files", {**READS, "duplicating_times": [2]}),
    ("DataPoolManipulatorFactory", "data_pool_downsampling"): ("new files", {**READS, "target_num_samples": 2}),
    ("DataPoolManipulatorFactory", "data_pool_merging"): (".jsonl", READS),
    ("DataPoolManipulatorFactory", "data_pool_mixing"): (".jsonl", {**READS, "total_num_samples": 2}),
    ("DataPoolManipulatorFactory", "data_pool_cartesian_join"): (
        "new files", {"dataset_path_1": DATA, "dataset_path_2": "questions.jsonl"}
    ),
    ("GeneralDataExecutorFactory", "python_docs_corpus"): (".jsonl", {"size": 3}),
    ("GeneralDataExecutorFactory", "inline_rows"): (".jsonl", {"rows": ["a"], "key": "text"}),
    ("GeneralDataExecutorFactory", "unfold_lists"): (".jsonl", {**READS, "list_key": "text"}),
    ("GeneralDataExecutorFactory", "coco_caption_to_dj_conversion"): (".jsonl", READS),
    ("GeneralDataExecutorFactory", "coco_caption_meta_generation"): (".json", READS),
    ("GeneralDataExecutorFactory", "dj_to_easyanimate_video_dataset_conversion"): (".json", READS),
    ("DataEvaluatorFactory", "dj_text_quality_classifier"): ("new files", MODEL),
    ("ModelInferEvaluatorFactory", "huggingface"): (".jsonl", MODEL),
    ("ModelInferEvaluatorFactory", "modelscope"): (".jsonl", {**MODEL, "task": "classification"}),
    ("ModelTrainExecutorFactory", "huggingface"): ("new files", {**MODEL, "method": "full"}),
    ("ModelTrainExecutorFactory", "modelscope"): ("new files", {**MODEL, "trainer_name": "nlp-base-trainer"}),
    ("ModelTrainExecutorFactory", "trl_sft"): ("new files", MODEL),
    ("ModelTrainExecutorFactory", "trl_dpo"): ("new files", MODEL),
    ("ModelTrainExecutorFactory", "trl_grpo"): ("new files", {**MODEL, "reward": "toy_lab.steps.reward"}),
    ("ModelTrainExecutorFactory", "text_quality_classifier"): (
        "folder", {"positive_path": DATA, "negative_path": "questions.jsonl", "held_out": 0}
    ),
    ("ModelTrainExecutorFactory", "command"): ("program", {"argv": ["true"], "reads": DATA}),
    ("ModelInferExecutorFactory", "api"): (
        ".jsonl", {**MODEL, "api_endpoint": "http://127.0.0.1:9", "max_retry_num": 0}
    ),
    ("ModelInferExecutorFactory", "huggingface"): (".jsonl", MODEL),
    ("ModelInferExecutorFactory", "vllm"): (".jsonl", MODEL),
    ("ModelEvaluatorFactory", "lm_eval"): (
        "new files", {"model": "no/such-model", "tasks": ["arc_easy"], "python": "/bin/false"}
    ),
    ("ModelEvaluatorFactory", "evalscope"): ("new files", {"model": "no/such-model", "datasets": ["general_qa"]}),
    ("ModelEvaluatorFactory", "command"): ("program", {"argv": ["true"], "reads": DATA}),
}  # fmt: skip
RECIPE_CASES = {"ProcessDataHook": ".jsonl", "RefineRecipeViaKSigmaHook": ".yaml", "ProbeViaAnalyzerHook": ".jsonl"}
KINDS = [
    "existing file", "existing folder", "the input", "the input by ..", "a link to the input", "a hard link to it",
    "inside the input folder", "holds the input", "a pattern's folder", "work_dir", "parent", "checkpoint", "metrics",
    "jobs", "through a link", "the config", "device", "URL",
]  # fmt: skip


def writing_types() -> Iterator[tuple[str, str]]:
    for factory in FACTORIES.values():
        for name in factory.builtin:
            if any(parameter.role is Role.OUTPUT for parameter in parameters(factory.find(name))[0].values()):
                yield factory.name, name


def test_every_type_that_writes_is_among_the_cases():
    assert set(writing_types()) == set(CASES)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: data, other files, and a work directory that a run used before."""
    folder = tmp_path / "project"
    for name in ("data", "keep", "keep.jsonl", "keep.json", "keep.yaml", "out/jobs/anonymous"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    rows = "".join(json.dumps({"text": f"text {n}", "id": n}) + "\n" for n in range(4))
    Path(DATA).write_text(rows)
    Path("data/other.jsonl").write_text(rows)
    Path("questions.jsonl").write_text('{"question": "why?", "text": "because"}\n')
    Path("recipe.yaml").write_text(yaml.safe_dump({"dataset_path": DATA, "process": [{"text_length_filter": None}]}))
    for name in ("keep/keep.txt", "keep.jsonl/keep.txt", "keep.json/keep.txt", "keep.yaml/keep.txt", "../keep.txt"):
        Path(name).write_text("the user's own")
    for name in (".x.jsonl", ".x", ".existing.jsonl", ".existing", ".existing.yaml", "data/.x.jsonl"):
        Path(f"{name}.part").write_text("the user's own")
    for ending in ("", ".jsonl", ".json", ".yaml"):
        Path(f"existing{ending}").write_text("the user's own")
        Path(f"link{ending or '_'}").symlink_to(Path(DATA).absolute())
        os.link(DATA, f"hard{ending or '_'}")
    Path("out/jobs/anonymous/notes.txt").write_text("the user's own")
    Path("out/linked").symlink_to(Path("keep").absolute())
    return folder


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_case_is_a_valid_config(case, project, monkeypatch):
    """A case with a wrong parameter would be refused for that, and would show nothing about its output."""
    monkeypatch.setenv("OPENAI_API_KEY", "none-needed-here")
    output, keys = CASES[case]
    path = f"new{output}" if output.startswith(".") else "new"
    config = config_for(HOOKS[case[0]], output_key(case), path, {"type": case[1], **keys}, "existing file")
    warnings = Sandbox(config).validate()
    assert [text for text in warnings if "not installed here: " not in text] == []


def output_key(case: tuple[str, str]) -> str:
    """The parameter that names the output of a case."""
    if CASES[case][0] != "program":
        return "export_path"
    return "metrics_file" if case[0] == "ModelEvaluatorFactory" else "result"


def output_path(kind: str, output: str) -> str | None:
    """The dangerous path of a kind; None where it makes no sense for such an output."""
    ending = output if output.startswith(".") else ""
    file = f"x{ending}"
    paths = {
        "existing file": f"existing{ending}",
        "existing folder": f"keep{ending}",
        "the input": DATA,
        "the input by ..": f"keep/../{DATA}",
        "a link to the input": f"link{ending or '_'}",
        "a hard link to it": f"hard{ending or '_'}",
        "inside the input folder": f"data/{file}",
        "holds the input": "data",
        "a pattern's folder": f"data/{file}",
        "work_dir": "out",
        "parent": "..",
        "checkpoint": "out/context_infos.pkl",
        "metrics": "out/metrics.jsonl",
        "jobs": f"out/jobs/other/{file}",
        "through a link": f"out/linked/{file}",
        "the config": "sandbox.yaml",
        "device": "/dev/null",
        "URL": f"file://{Path(file).absolute()}",
    }
    return paths[kind]


REFUSED = {
    "the input", "the input by ..", "inside the input folder", "checkpoint", "metrics", "jobs", "through a link",
    "the config", "device", "URL",
}  # fmt: skip
"""Kinds that are refused for every output."""
ALWAYS_REFUSED = ("checkpoint", "metrics", "jobs", "through a link", "URL")
"""Those that are refused whatever the job reads."""


def user_files(folder: Path) -> dict[str, bytes]:
    """Every file of the user by its path; files and folders that the run keeps for itself are left out."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def config_for(hook: str, key: str, path: str, keys: dict[str, Any], kind: str) -> dict[str, Any]:
    """A config of one job whose output is `path`."""
    keys = dict(keys)
    if kind in ("inside the input folder", "a pattern's folder"):
        source = "data" if kind == "inside the input folder" else "data/*"
        keys = {name: source if value == DATA else value for name, value in keys.items()}
    job: dict[str, Any] = {"hook": hook, "meta_name": "job"}
    if hook in RECIPE_CASES:
        recipe = {"dataset_path": keys["dataset_path"], "process": [{"text_length_filter": {"min_len": 1}}]}
        job["dj_configs"] = recipe
        if hook.startswith("Refine"):
            job["extra_configs"] = {key: path}
        else:
            recipe[key] = path
    else:
        job["extra_configs"] = {**keys, key: path}
    return {"work_dir": "out", "watchers": ["local"], PHASES.get(hook, "execution_job_configs"): [job]}


def check(project: Path, config: dict[str, Any], kind: str, refused: bool, capsys: Any) -> None:
    """Run a config; nothing of the user's is gone or changed, and a refusal is one clear message."""
    Path("sandbox.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    before = user_files(project.parent)
    code = main(["--config", "sandbox.yaml"])
    after = user_files(project.parent)
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    kept = list(after.values())
    for path, content in before.items():
        renamed = any(Path(other).name.startswith(f"previous_{Path(path).name}") for other in after)
        assert after.get(path) == content or (renamed and content in kept), f"{path} was changed or removed"
    for link in ("link.jsonl", "link.json", "link_", "out/linked"):
        assert Path(link).is_symlink() or any(Path().rglob(f"previous_{Path(link).name}*"))
    assert Path("/dev/null").is_char_device()
    if refused:
        assert code in (1, 2), printed
        assert any(
            word in printed for word in ("choose another", "replace it by", "ends as", ".json", "folder", "write /")
        ), printed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_nothing_of_the_user_is_lost(case, kind, project, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "none-needed-here")
    output, keys = CASES[case]
    path = output_path(kind, output)
    if case[1] == "python_docs_corpus" and kind not in REFUSED:
        pytest.skip("reads the whole standard library, and writes as `inline_rows` does")
    key = output_key(case)
    reads_data = DATA in keys.values()
    refused = kind in REFUSED and (reads_data or kind in ALWAYS_REFUSED)
    config = config_for(HOOKS[case[0]], key, path, {"type": case[1], **keys}, kind)
    check(project, config, kind, refused and not (output == "program" and kind == "device"), capsys)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", RECIPE_CASES)
def test_nothing_is_lost_by_hooks_that_take_recipes(hook, kind, project, capsys):
    ending = RECIPE_CASES[hook]
    key = "path_k_sigma_recipe" if hook.startswith("Refine") else "export_path"
    path = output_path(kind, ending)
    config = config_for(hook, key, path, READS, kind)
    if hook == "ProbeViaAnalyzerHook":
        config["probe_job_configs"] = config.pop("execution_job_configs")
    refused = {  # the analyzer derives names of its own from `export_path`
        "ProcessDataHook": kind in REFUSED,
        "RefineRecipeViaKSigmaHook": kind in ("the input", "the input by ..", "URL"),
        "ProbeViaAnalyzerHook": False,
    }[hook]
    check(project, config, kind, refused, capsys)
