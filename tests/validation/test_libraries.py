"""Libraries that are not installed are known before the run: a warning of `validate`, an error of a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import data_juicer_sandbox as dj
from data_juicer_sandbox import imports
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.errors import ConfigErrors
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.installation import install_command
from data_juicer_sandbox.validation import libraries
from data_juicer_sandbox.watchers.watcher import TRACKERS

ROWS = {"type": "inline_rows", "rows": ["a", "b"], "key": "text", "export_path": "rows.jsonl"}
MODEL = {"model": "m", "dataset_path": "rows.jsonl"}
NEEDS = [
    ("ModelTrainExecutorFactory", "huggingface", {}, {"torch", "transformers", "accelerate"}),
    ("ModelTrainExecutorFactory", "huggingface", {"method": "lora"}, {"torch", "transformers", "accelerate", "peft"}),
    ("ModelTrainExecutorFactory", "trl_dpo", {}, {"torch", "transformers", "accelerate", "trl", "datasets"}),
    ("ModelTrainExecutorFactory", "trl_sft", {"lora": True},
     {"torch", "transformers", "accelerate", "trl", "datasets", "peft"}),
    ("ModelTrainExecutorFactory", "modelscope", {}, {"modelscope", "torch", "datasets"}),
    ("ModelTrainExecutorFactory", "text_quality_classifier", {}, {"sklearn", "scipy"}),
    ("ModelTrainExecutorFactory", "command", {}, set()),
    ("ModelInferExecutorFactory", "api", {}, {"openai", "httpx2"}),
    ("ModelInferExecutorFactory", "huggingface", {}, {"torch", "transformers"}),
    ("ModelInferExecutorFactory", "vllm", {}, {"vllm"}),
    ("ModelInferEvaluatorFactory", "huggingface", {}, {"torch", "transformers"}),
    ("ModelInferEvaluatorFactory", "modelscope", {}, {"modelscope", "torch", "transformers"}),
    ("ModelEvaluatorFactory", "huggingface_perplexity", {}, {"torch", "transformers"}),
    ("ModelEvaluatorFactory", "lm_eval", {}, {"lm_eval"}),
    ("ModelEvaluatorFactory", "lm_eval", {"python": "other/bin/python"}, set()),
    ("ModelEvaluatorFactory", "evalscope", {}, {"evalscope"}),
    ("ModelEvaluatorFactory", "evalscope", {"python": "other/bin/python"}, set()),
    ("DataEvaluatorFactory", "dj_text_quality_classifier", {}, {"sklearn", "scipy"}),
    ("DataEvaluatorFactory", "dj_text_quality_classifier", {"model": "code"}, {"sklearn", "scipy", "sentencepiece"}),
    ("DataEvaluatorFactory", "dj_text_quality_classifier", {"engine": "spark"}, {"sklearn", "scipy", "pyspark"}),
    ("DataEvaluatorFactory", "dj_text_quality_classifier", {"engine": "spark", "python": "p"}, {"sklearn", "scipy"}),
    ("DataAnalyzerFactory", "data_juicer", {"plots": True}, {"matplotlib", "wordcloud"}),
    ("DataAnalyzerFactory", "data_juicer", {}, set()),
    ("DataPoolManipulatorFactory", "data_pool_mixing", {"tokenizer": "gpt2"}, {"transformers"}),
    ("DataPoolManipulatorFactory", "data_pool_mixing", {}, set()),
]  # fmt: skip


@pytest.fixture
def without(monkeypatch):
    """Make libraries appear as not installed."""

    def hide(*names):
        found = imports.is_installed
        monkeypatch.setattr(libraries, "is_installed", lambda module: module not in names and found(module))

    return hide


@pytest.fixture
def config(config_file):
    def write(*jobs, **keys):
        rows = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "extra_configs": ROWS}
        pipeline = {"execution_job_configs": [rows], "evaluation_job_configs": list(jobs)}
        return str(config_file({"work_dir": "out", "watchers": ["local"], **keys, "pipelines": {"p": pipeline}}))

    return write


def score(name="score", **values):
    extra = {"type": "huggingface_perplexity", **MODEL, **values}
    return {"hook": "EvaluateModelHook", "meta_name": name, "output": ["scores", "summary"], "extra_configs": extra}


@pytest.mark.parametrize(("factory", "name", "values", "modules"), NEEDS)
def test_what_a_component_needs(factory, name, values, modules):
    required = FACTORIES[factory].find(name).required_libraries(values)
    assert {library.module for library in required} == modules


def test_every_library_that_an_extra_brings_is_declared_where_it_is_loaded():
    """A module that loads a library by `imports.load` is reached from a class that declares this library."""
    declared = {
        library.module
        for factory, name, values, _ in NEEDS
        for library in FACTORIES[factory].find(name).required_libraries(values)
    }
    loaded = {
        match.partition(".")[0]
        for path in (Path(imports.__file__).parent / "components").rglob("*.py")
        for match in re.findall(r'\bload\(\s*"([\w.]+)", extra=', path.read_text())
    }
    assert len(loaded) > 10
    assert loaded - declared <= {"tokenizers", "safetensors"}  # dependencies of transformers


def test_validate_and_plan_warn_and_the_run_refuses(config, without, capsys):
    without("torch", "transformers")
    path = config(score())
    line = Path(path).read_text().splitlines().index("        type: huggingface_perplexity") + 1
    expected = f"{path}:{line}: job 'p.score': not installed here: torch, transformers ({install_command('train')})"
    sandbox = dj.Sandbox(path)
    assert sandbox.validate()[-1] == expected
    assert sandbox.plan().not_installed == (expected,)
    with pytest.raises(ConfigErrors) as refused:
        sandbox.run()
    assert [str(problem) for problem in refused.value.problems] == [expected]
    assert not Path("out").exists()
    assert not Path("rows.jsonl").exists()
    assert main(["validate", path]) == 0
    assert f"warning: {expected}" in capsys.readouterr().err
    assert main(["plan", path]) == 0
    assert f"warning: {expected}" in capsys.readouterr().err
    assert main([path]) == 2
    assert expected in capsys.readouterr().err


def test_all_jobs_are_named_at_once_in_the_order_of_the_file(config, without):
    without("torch", "transformers", "lm_eval")
    lm_eval = {"hook": "EvaluateModelHook", "meta_name": "tasks", "extra_configs": {"type": "lm_eval", "model": "m",
                                                                                    "tasks": "piqa"}}  # fmt: skip
    with pytest.raises(ConfigErrors) as refused:
        dj.Sandbox(config(score(), lm_eval, score("again"))).run()
    texts = [problem.what for problem in refused.value.problems]
    assert [text.partition(":")[0] for text in texts] == ["job 'p.score'", "job 'p.tasks'", "job 'p.again'"]
    assert texts[1] == "job 'p.tasks': not installed here: lm_eval"


def test_a_job_that_is_kept_needs_nothing(config, without):
    """Trained on one machine, and resumed on another without the library."""
    path = config()
    dj.Sandbox(path).run()
    without("torch")
    content = yaml.safe_load(Path(path).read_text())
    content["pipelines"]["p"]["execution_job_configs"][0]["extra_configs"] = {"type": "toy_lab.needs.NeedsTorch"}
    Path(path).write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(ConfigErrors, match="not installed here: torch"):
        dj.Sandbox(path).run(resume=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libraries, "is_installed", lambda module: True)
        dj.Sandbox(path).run()
    assert dj.Sandbox(path).plan(resume=True).not_installed == ()
    assert dj.Sandbox(path).run(resume=True).kept == ("p.rows",)
    with pytest.raises(ConfigErrors, match="not installed here: torch"):
        dj.Sandbox(path).run()


def test_a_component_whose_own_method_fails(config):
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "x", "extra_configs": {"type": "toy_lab.needs.Confused"}}
    path = config()
    content = yaml.safe_load(Path(path).read_text())
    content["pipelines"]["p"]["execution_job_configs"].append(job)
    Path(path).write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(ConfigErrors, match=r"job 'p.x': `required_libraries` of Confused failed: KeyError: 'absent'"):
        dj.Sandbox(path).validate()


def test_a_watcher_that_is_named(config, without, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    without("wandb")
    assert dj.Sandbox(config()).validate() == []
    path = config(watchers=["wandb"])
    (warning,) = dj.Sandbox(path).validate()
    hint = install_command("wandb")
    assert warning == f"{path}:2: the watcher 'wandb': not installed here: wandb ({hint})"
    with pytest.raises(ConfigErrors, match="the watcher 'wandb': not installed here"):
        dj.Sandbox(path).run()
    assert set(TRACKERS) == {"local", "wandb"}
