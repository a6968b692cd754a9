"""A stranger's config under `--untrusted` and `--no-plugins`: no code of it runs, and what it tries is named."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import data_juicer_sandbox as dj
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.code_policy import code_policy
from data_juicer_sandbox.control_characters import safe_cell
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.workflow import untrusted
from data_juicer_sandbox.workflow.untrusted import model_problem, output_problem, recipe_refusals

CODE = "from pathlib import Path\nPath('ran').touch()\nfrom data_juicer_sandbox.components.base import Component\n"
RECIPE = {"dataset_path": "rows.jsonl", "export_path": "out/clean.jsonl"}


@pytest.fixture(autouse=True)
def files(config_file: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Data, a model, and a module that leaves a file behind when it is imported."""
    config_file('{"text": "a"}\n', "rows.jsonl")
    config_file(
        CODE + "class Evil(Component):\n    def run(self, job): return 1\ndef f(row): return row\n", "evil_code.py"
    )
    for name, files in {
        "good": ("model.safetensors", "config.json"),
        "pickled": ("pytorch_model.bin", "config.json"),
        "decoy": ("decoy.safetensors", "pytorch_model.bin", "config.json"),
        "adapter": ("model.safetensors", "adapter_config.json"),
    }.items():
        for file in files:
            config_file("{}", f"models/{name}/{file}")
    config_file('{"auto_map": {"AutoModel": "code.py"}}', "models/remote_code/config.json")
    config_file("{}", "models/remote_code/model.safetensors")
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        config_file({"text_config": {key: {"": "owner/kernel:function"}}}, f"models/{key}/config.json")
        config_file("{}", f"models/{key}/model.safetensors")
    for name, weights in {
        "index_bin": "w.bin",
        "index_outside": "../w.safetensors",
        "index_good": "w.safetensors",
    }.items():
        config_file(json.dumps({"weight_map": {"a": weights}}), f"models/{name}/model.safetensors.index.json")
    config_file("", "config.yaml")
    monkeypatch.syspath_prepend(tmp_path)


def job(hook: str = "GeneralDataExecutorHook", **keys: Any) -> dict[str, Any]:
    return {"hook": hook, "meta_name": "job", **keys}


def process(*ops: Any, **keys: Any) -> dict[str, Any]:
    return job("ProcessDataHook", dj_configs={**RECIPE, "process": list(ops), **keys})


def extra(hook: str, type_name: str | None = None, **keys: Any) -> dict[str, Any]:
    return job(hook, extra_configs={**({"type": type_name} if type_name else {}), **keys})


TRAIN = {"dataset_path": "rows.jsonl", "max_steps": 1}
ROWS = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "out/rows.jsonl"}
ATTACKS: dict[str, dict[str, Any]] = {
    "dotted type": extra("GeneralDataExecutorHook", "evil_code.Evil"),
    "dotted type of this package": extra("GeneralDataExecutorHook", "data_juicer_sandbox.components.command.X"),
    "dotted hook": job("evil_code.Evil"),
    "variable of the environment": extra("GeneralDataExecutorHook", **{**ROWS, "rows": ["${env:HOME}"]}),
    "lambda": process({"python_lambda_mapper": {"lambda_str": "lambda x: x"}}),
    "python file": process({"python_file_mapper": {"file_path": "evil_code.py", "function_name": "f"}}),
    "field filter": process({"general_field_filter": {"filter_condition": "10 > 1"}}),
    "tokenizer by eval": process({"remove_repeat_sentences_mapper": {"tokenizer": "lambda t: [t]"}}),
    "custom operators": process({"evil_mapper": {}}, custom_operator_paths=["evil_code.py"]),
    "download": process({"download_file_mapper": {}}),
    "upload": process({"s3_upload_file_mapper": {}}),
    "remote code in an OP": process({"text_chunk_mapper": {"trust_remote_code": True}}),
    "API in an OP": process({"extract_keyword_mapper": {}}),
    "runtime of an OP": process({"text_length_filter": {"runtime_env": {"pip": ["x"]}}}),
    "ray address": process(executor_type="ray", ray_address="ray://evil:1"),
    "hub data set": process(dataset_path="owner/name"),
    "remote data set": process(dataset_path="https://evil/x.jsonl"),
    "remote source": process(dataset={"configs": [{"type": "remote", "source": "huggingface", "path": "a/b"}]}),
    "credentials": process(export_aws_credentials={"key": "x"}),
    "loader arguments": process(load_dataset_kwargs={"trust_remote_code": True}),
    "cache folder": process(ds_cache_dir="/tmp/x"),
    "generated data": process(generated_dataset_config={"type": "x"}),
    "program": extra("TrainModelHook", "command", argv=["touch", "ran"]),
    "program as evaluator": extra("EvaluateModelHook", "command", argv=["touch", "ran"]),
    "interpreter": extra("EvaluateModelHook", "lm_eval", model="models/good", tasks=["x"], python="evil.sh"),
    "task with code": extra("EvaluateModelHook", "lm_eval", model="models/good", task_path="config.yaml"),
    "evalscope": extra("EvaluateModelHook", "evalscope", model="models/good", datasets=["general_qa"]),
    "spark interpreter": extra(
        "EvaluateDataHook", "dj_text_quality_classifier", dataset_path="rows.jsonl", model="gpt3", python="evil.sh"
    ),
    "spark model": extra(
        "EvaluateDataHook", "dj_text_quality_classifier", dataset_path="rows.jsonl", model="models/pickled"
    ),
    "server": extra(
        "InferModelHook", "api", dataset_path="rows.jsonl", export_path="out/a.jsonl", model="m",
        api_endpoint="http://127.0.0.1:9/v1", api_key_env="HOME",
    ),
    "pickled model": extra("TrainModelHook", "huggingface", **TRAIN, method="full", model="models/pickled"),
    "decoy weights": extra("TrainModelHook", "huggingface", **TRAIN, method="full", model="models/decoy"),
    "adapter": extra("TrainModelHook", "huggingface", **TRAIN, method="full", model="models/adapter"),
    "code of a model": extra("TrainModelHook", "huggingface", **TRAIN, method="full", model="models/remote_code"),
    "hub model": extra("TrainModelHook", "huggingface", **TRAIN, method="full", model="gpt2"),
    "code of a tokenizer": extra("TrainModelHook", "huggingface", **TRAIN, tokenizer_path="models/remote_code"),
    "training arguments": extra("TrainModelHook", "huggingface", **TRAIN, training_args={"push_to_hub": True}),
    "reward": extra("TrainModelHook", "trl_grpo", **TRAIN, model="models/good", reward="evil_code.f"),
    "modelscope trainer": extra(
        "TrainModelHook", "modelscope", trainer_name="nlp-base-trainer", model="models/good",
        dataset_path="rows.jsonl", export_path="out/m", cfg_modify_fn="evil_code.f",
    ),
    "modelscope pipeline": extra(
        "ProbeViaModelInferHook", "modelscope", model="models/good", dataset_path="rows.jsonl", task="classification"
    ),
    "score function": extra(
        "ProbeViaModelInferHook", "huggingface", model="models/good", dataset_path="rows.jsonl",
        score_func="evil_code.f",
    ),
    "prompt function": extra(
        "InferModelHook", "huggingface", dataset_path="rows.jsonl", export_path="out/a.jsonl", model="models/good",
        build_messages_func="evil_code.f",
    ),
    "function of this package": extra(
        "InferModelHook", "huggingface", dataset_path="rows.jsonl", export_path="out/a.jsonl", model="models/good",
        parse_output_func="data_juicer_sandbox.cli.main.main",
    ),
    "remote code of a model": extra(
        "InferModelHook", "huggingface", dataset_path="rows.jsonl", export_path="out/a.jsonl", model="models/good",
        model_params={"trust_remote_code": True},
    ),
    "custom generation": extra(
        "InferModelHook", "huggingface", dataset_path="rows.jsonl", export_path="out/a.jsonl", model="models/good",
        sampling_params={"custom_generate": "owner/repo"},
    ),
    "vllm": extra(
        "InferModelHook", "vllm", dataset_path="rows.jsonl", export_path="out/a.jsonl", model="models/good"
    ),
    "tokenizer of a hub": extra(
        "DataPoolManipulationHook", "data_pool_mixing", dataset_path="rows.jsonl", export_path="out/m.jsonl",
        tokenizer="owner/name", total_tokens=3,
    ),
    "file outside": extra("GeneralDataExecutorHook", **{**ROWS, "export_path": "../rows.jsonl"}),
    "hidden file": extra("GeneralDataExecutorHook", **{**ROWS, "export_path": ".config/rows.jsonl"}),
    "export outside": process(export_path="/tmp/evil.jsonl"),
    "settings of a program": process({"text_length_filter": {}}, export_path="package.json", export_type="jsonl"),
    "settings of a model": extra("GeneralDataExecutorHook", **{**ROWS, "export_path": "models/good/tokenizer.json"}),
    "recipe outside the work_dir": job(
        "RefineRecipeViaKSigmaHook", dj_configs=RECIPE, extra_configs={"path_k_sigma_recipe": "mkdocs.yml"}
    ),
    "Makefile": process({"text_length_filter": {}}, export_path="GNUmakefile", export_type="jsonl"),
    "cache outside": process({"text_length_filter": {}}, use_cache=True),
    "recipe as a program": job(
        "RefineRecipeViaKSigmaHook", dj_configs=RECIPE, extra_configs={"path_k_sigma_recipe": "out/Makefile.mk"}
    ),
}  # fmt: skip
TOP: dict[str, dict[str, Any]] = {
    "work_dir outside": {"work_dir": "../elsewhere"},
    "hidden work_dir": {"work_dir": ".ssh"},
    "current folder as work_dir": {"work_dir": "."},
    "folder of something else as work_dir": {"work_dir": "models/good"},
    "server of W&B": {"watchers": ["local", "wandb"]},
    "watcher of a plug-in": {"watchers": ["local", "evil"]},
    "dotted watcher": {"watchers": ["evil_code.f"]},
}
LATER: dict[str, dict[str, Any]] = {
    "type by local": {**extra("GeneralDataExecutorHook"), "local": {"extra_configs.type": "evil_code.Evil"}},
    "whole config by local": job(local={"extra_configs": "evil.yaml"}),
    "program by local": {
        **job("TrainModelHook"), "local": {"extra_configs": "program.yaml"},
    },
    "type by input": {**job(extra_configs={}), "input": {"extra_configs.type": "text.value"}},
    "recipe by input": {**job("ProcessDataHook"), "input": {"dj_configs": "recipe.path"}},
    "OP by local": {
        **process({"text_length_filter": {}}),
        "local": {"dj_configs.process.0": {"python_lambda_mapper": {"lambda_str": "lambda x: x"}}},
    },
    "export by local": {**process({"text_length_filter": {}}), "local": {"dj_configs.export_path": "/tmp/evil.jsonl"}},
    "model by local": {
        **extra("TrainModelHook", "huggingface", **TRAIN, method="full"),
        "local": {"extra_configs.model": "models/pickled"},
    },
}  # fmt: skip


def config_of(attack: dict[str, Any], **top: Any) -> dict[str, Any]:
    first = [
        {**job(extra_configs={**ROWS, "rows": [{"process": [{"python_lambda_mapper": {}}]}], "key": None}),
         "meta_name": "recipe", "output": "path"},
    ]  # fmt: skip
    jobs = [*(first if "recipe.path" in str(attack) else []), attack]
    return {"work_dir": "out", "execution_job_configs": jobs, **top}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_could_run_code_is_refused_before_the_run(name, config_file, capsys):
    path = str(config_file(config_of(ATTACKS[name])))
    assert main(["validate", "--config", path, "--untrusted"]) == 2
    assert main(["--config", path, "--untrusted"]) == 2
    said = capsys.readouterr().err
    assert "--untrusted" in said
    assert not Path("ran").exists()
    assert not Path("out").exists()


@pytest.mark.parametrize("name", TOP)
def test_keys_of_the_run(name, config_file, capsys):
    harmless = extra("GeneralDataExecutorHook", **ROWS)
    assert main(["--config", str(config_file({**config_of(harmless), **TOP[name]})), "--untrusted"]) == 2
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", LATER)
def test_what_is_set_later_is_refused_when_its_job_starts(name, config_file, capsys):
    config_file({"type": "evil_code.Evil"}, "evil.yaml")
    config_file({"type": "command", "argv": ["touch", "ran"]}, "program.yaml")
    assert main(["--config", str(config_file(config_of(LATER[name]))), "--untrusted"]) != 0
    assert not Path("ran").exists()
    assert not Path("/tmp/evil.jsonl").exists()


@pytest.mark.parametrize(
    "keys", [{"storage": "sqlite:///other.db"}, {"storage": "../study.journal"}, {"backend": "wandb"}]
)
def test_a_search_reaches_no_server(keys, config_file, capsys):
    pytest.importorskip("optuna")
    parameters = {"anonymous.job.extra_configs.rows": {"values": [["a"], ["b"]]}}
    sweep = {"method": "grid", "metric": {"name": "job.rows"}, "parameters": parameters, **keys}
    config_file(sweep, "sweep.yaml")
    config = config_of(extra("GeneralDataExecutorHook", **ROWS), hpo_config="sweep.yaml")
    assert main(["validate", "--config", str(config_file(config)), "--untrusted"]) == 2
    assert "refused by --untrusted: `" in capsys.readouterr().err


def test_a_type_that_a_search_sets_is_refused_in_its_trial(config_file, capsys):
    pytest.importorskip("optuna")
    parameters = {"anonymous.job.extra_configs.type": {"values": ["evil_code.Evil"]}}
    config_file({"method": "grid", "metric": {"name": "job.rows"}, "parameters": parameters}, "sweep.yaml")
    config = config_of(extra("GeneralDataExecutorHook", **ROWS), hpo_config="sweep.yaml")
    assert main(["--config", str(config_file(config)), "--untrusted"]) != 0
    assert not Path("ran").exists()


def test_the_command_that_runs_the_best_trial_trusts_it_no_more(config_file, capsys):
    pytest.importorskip("optuna")
    parameters = {"anonymous.job.extra_configs.key": {"values": ["a", "b"]}}
    sweep = {"method": "grid", "metric": {"name": "job.rows"}, "plots": False, "parameters": parameters}
    config_file(sweep, "sweep.yaml")
    path = str(config_file(config_of(extra("GeneralDataExecutorHook", **ROWS), hpo_config="sweep.yaml")))
    assert main(["--config", path, "--untrusted"]) == 0
    assert "--config out/best.yaml --untrusted\n" in capsys.readouterr().err
    assert "# Run:    dj-sandbox --config out/best.yaml --untrusted\n" in Path("out/best.yaml").read_text()
    assert main(["--config", path]) == 0
    assert "--config out/best.yaml\n" in capsys.readouterr().err


def test_harmless_configs_run(config_file):
    chain = [
        {**extra("GeneralDataExecutorHook", **ROWS), "meta_name": "rows", "output": "path"},
        {
            **extra("DataPoolManipulationHook", "data_pool_duplication", dataset_path="x", export_path="out/pools"),
            "input": {"extra_configs.dataset_path": "rows.path"},
        },
    ]
    assert main(["--config", str(config_file({"work_dir": "out", "execution_job_configs": chain})), "--untrusted"]) == 0
    refined = process({"text_length_filter": {"min_len": 1}}, np=1)
    assert main(["validate", "--config", str(config_file(config_of(refined))), "--untrusted"]) == 0
    for model in ({"method": "scratch"}, {"method": "full", "model": "models/good"}):
        config = config_of(extra("TrainModelHook", "huggingface", **TRAIN, **model))
        assert main(["validate", "--config", str(config_file(config)), "--untrusted"]) == 0


def test_no_tracker_reaches_the_server_that_a_file_in_the_current_folder_names(config_file, monkeypatch):
    from data_juicer_sandbox.watchers.watcher import chosen

    config_file("[default]\nbase_url = http://127.0.0.1:9\n", "wandb/settings")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert chosen(None) == ["local", "wandb"]
    with code_policy(untrusted=True):
        assert chosen(None) == ["local"]


def test_no_file_of_somebody_else_is_replaced(config_file, capsys):
    mine = Path("rows.jsonl").read_bytes()
    config = config_file(config_of(extra("GeneralDataExecutorHook", **{**ROWS, "export_path": "rows.jsonl"})))
    assert main(["--config", str(config), "--untrusted"]) == 1
    assert "rows.jsonl was not written by a job of this work directory" in capsys.readouterr().err
    assert Path("rows.jsonl").read_bytes() == mine
    assert not list(Path().glob("previous_*"))


def test_settings_are_written_in_the_work_directory(config_file):
    recipe = job(
        "RefineRecipeViaKSigmaHook", dj_configs=RECIPE, extra_configs={"path_k_sigma_recipe": "out/refined.yaml"}
    )
    dj.Sandbox(config_of(recipe), untrusted=True).validate()


def test_an_untrusted_config_trusts_no_checkpoint(config_file, capsys):
    config = config_file(config_of(extra("GeneralDataExecutorHook", **ROWS)))
    assert main(["--config", str(config), "--untrusted", "--trust-checkpoint"]) == 2
    assert "cannot be combined" in capsys.readouterr().err


def test_no_plugins_imports_nothing_and_says_what_is_not_checked(config_file, capsys):
    config = config_of(extra("GeneralDataExecutorHook", "evil_code.Evil", wrong=1))
    path = str(config_file(config))
    assert main(["validate", "--config", path, "--no-plugins"]) == 0
    assert "warning: " in (said := capsys.readouterr().err)
    assert "'evil_code.Evil' is not imported" in said
    assert not Path("ran").exists()
    function = config_of(ATTACKS["prompt function"])
    assert main(["validate", "--config", str(config_file(function)), "--no-plugins"]) == 0
    assert "'evil_code.f' is not imported" in capsys.readouterr().err
    assert not Path("ran").exists()
    config_file(config)
    assert main(["validate", "--config", path]) == 2  # imports it, and finds the wrong parameter
    assert Path("ran").exists()


def test_the_policy_ends_with_the_call(config_file):
    harmless, evil = extra("GeneralDataExecutorHook", **ROWS), extra("GeneralDataExecutorHook", "evil_code.Evil")
    dj.Sandbox(config_of(harmless), untrusted=True).validate()
    with pytest.raises(dj.ConfigErrors, match="1 error"):
        dj.Sandbox(config_of(evil), untrusted=True).validate()
    assert dj.Sandbox(config_of(evil)).validate() == []


def test_models():
    assert model_problem("models/good") is None
    assert model_problem("models/index_good") is None
    implementations = ("attn_implementation", "_attn_implementation", "experts_implementation")
    for name in (
        "pickled",
        "decoy",
        "adapter",
        "remote_code",
        "missing",
        "index_bin",
        "index_outside",
        *implementations,
    ):
        assert model_problem(f"models/{name}") is not None, name
    Path("models/good/config.json").unlink()
    os.mkfifo("models/good/config.json")
    assert model_problem("models/good") == "models/good/config.json cannot be read"


@pytest.mark.parametrize(
    "path", ["/etc/x.jsonl", "../x.jsonl", ".x.jsonl", "a/.git/x.jsonl", "x.py", "x.sh", "a/../../x.json"]
)
def test_outputs_that_other_programs_read(path):
    assert output_problem(path) is not None


def test_outputs_through_a_link(tmp_path):
    Path("link").symlink_to("/tmp")
    assert output_problem("link/x.jsonl") is not None
    assert output_problem("out/x.jsonl") is None
    Path("Makefile").touch()
    assert output_problem("Makefile") is not None


def test_every_op_of_the_list_exists_and_names_no_code():
    from data_juicer_sandbox.components.data.catalogue import catalogue

    assert {name for name in untrusted._OPS if catalogue().find(name) is None} == set()
    assert list(recipe_refusals({"process": [{name: {}} for name in sorted(untrusted._OPS)]})) == []
    components = {
        f"{cls.__module__}.{cls.__qualname__}"
        for factory in FACTORIES.values()
        for cls in map(factory.find, factory.builtin)
    }
    assert {name for name in untrusted._COMPONENTS if ".refine." not in name} <= components


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"), (" =1", "' =1"),
        ("-1.5", "-1.5"), ("+1e3", "+1e3"), (-2, -2), ("plain", "plain"), ("", ""), (None, None),
    ],
)  # fmt: skip
def test_cells_of_a_table(cell, expected):
    assert safe_cell(cell) == expected


def test_the_table_of_a_search_holds_no_formula(config_file):
    pytest.importorskip("optuna")
    values = ["=cmd|' /C calc'!A0", "+1", "-x", "@x"]
    parameters = {"anonymous.job.extra_configs.rows": {"values": [[value] for value in values]},
                  "anonymous.job.extra_configs.key": {"values": values}}  # fmt: skip
    config_file(
        {"method": "grid", "metric": {"name": "job.rows"}, "plots": False, "parameters": parameters}, "sweep.yaml"
    )
    config = config_of(extra("GeneralDataExecutorHook", **ROWS), hpo_config="sweep.yaml")
    assert main(["--config", str(config_file(config))]) == 0
    with Path("out/trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    keys = {row["anonymous.job.extra_configs.key"] for row in rows}
    assert keys == {"'=cmd|' /C calc'!A0", "+1", "'-x", "'@x"}
    assert all(json.loads(row["anonymous.job.extra_configs.rows"]) for row in rows)
    assert yaml.safe_load(Path("out/best.yaml").read_text())["parameters"]["anonymous.job.extra_configs.key"] in values


@pytest.mark.parametrize(
    "parallel",
    ["slurm", {"backend": "slurm", "slurm_setup": ["touch ran"]}, {"backend": "ray", "address": "ray://evil:1"}],
)
def test_a_cluster_is_refused(parallel, tmp_path, monkeypatch):
    """Its settings are commands for a shell, or the address of a server that receives the run."""
    monkeypatch.chdir(tmp_path)
    rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "out/rows.jsonl"}
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "extra_configs": rows}
    config = {"work_dir": "out", "execution_job_configs": [job]}
    with pytest.raises(dj.ConfigError, match="refused by --untrusted: `parallel`"):
        dj.Sandbox({**config, "parallel": parallel}, untrusted=True).validate()
    assert dj.Sandbox({**config, "parallel": "local"}, untrusted=True).run()["anonymous.rows.res_1"] == "out/rows.jsonl"
