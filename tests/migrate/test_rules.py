"""Each difference of names, defaults and meaning, on a config that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.migrate import tables
from data_juicer_sandbox.migrate.migration import migrate
from data_juicer_sandbox.signatures import parameters

from .conftest import job, lasting, only_job


def extra(type_: str, **values: object) -> dict:
    return {"type": type_, **values}


def infer(type_: str, **values: object) -> dict:
    values = {"model": "m", "dataset_path": "a.jsonl", "export_path": "out", **values}
    return job("InferModelHook", extra_configs=extra(type_, **values))


def pool(type_: str, **values: object) -> dict:
    values = {"dataset_path": ["a.jsonl"], "export_path": "pools", **values}
    return job("DataPoolManipulationHook", extra_configs=extra(type_, **values))


# Components: key by key.


@pytest.mark.parametrize(("type_", "value"), [("accuracy", "label"), ("mse", "value")])
def test_keys_of_accuracy_and_mse(type_, value, migrated):
    old = extra(
        type_,
        predicted_dataset_path="a.jsonl",
        ground_truth_dataset_path="b.jsonl",
        **{f"predicted_{value}_key": "p.x", f"ground_truth_{value}_key": "t"},
    )
    new, _, _ = migrated(job("EvaluateDataHook", "evaluation", extra_configs=old))
    expected = extra(type_, dataset_path="a.jsonl", label_path="b.jsonl", predicted_key="p.x", label_key="t")
    assert only_job(new)["extra_configs"] == expected
    assert list(only_job(new)["extra_configs"]) == list(expected), "the order stays"


def test_labels_in_the_predicted_set(migrated):
    old = extra(
        "mse",
        predicted_dataset_path="a",
        ground_truth_dataset_path=[],
        predicted_value_key="p",
        ground_truth_value_key="t",
    )
    new, _, _ = migrated(job("EvaluateDataHook", "evaluation", extra_configs=old))
    assert "label_path" not in only_job(new)["extra_configs"]


def test_modelscope_training(migrated):
    old = extra(
        "modelscope",
        model_name="m",
        trainer_name="t",
        train_dataset="a",
        work_dir="w",
        train={"lr": 1},
        evaluation={"n": 2},
    )
    new, _, _ = migrated(job("TrainModelHook", extra_configs=old))
    assert only_job(new)["extra_configs"] == extra(
        "modelscope",
        model="m",
        trainer_name="t",
        dataset_path="a",
        export_path="w",
        cfg_modify={"train": {"lr": 1}, "evaluation": {"n": 2}},
    )


def test_an_environment_that_was_not_read(migrated):
    old = extra("modelscope", model_name="m", trainer_name="t", train_dataset="a", work_dir="w", env_name="e")
    new, _, _ = migrated(job("TrainModelHook", extra_configs=old))
    assert "cfg_modify" not in only_job(new)["extra_configs"]


def test_modelscope_inference(migrated):
    old = extra("modelscope", model="m", task="text-classification", device="cpu")
    new, _, _ = migrated(job("ProbeViaModelInferHook", "probe", output=["x"], extra_configs=old))
    expected = extra("modelscope", model="m", pipeline="text-classification", pipeline_params={"device": "cpu"})
    assert only_job(new)["extra_configs"] == expected
    assert only_job(new)["output"] == ["x", "summary"]


def test_keys_that_were_ignored_are_dropped(migrated):
    new, migration, text = migrated(
        "execution_job_configs:\n- hook: DataPoolManipulationHook\n  remark: 1\n  extra_configs:\n"
        "    # about the note\n    note: x  # gone\n    type: data_pool_merging\n    dataset_path: [a]\n"
        "    export_path: b\n"
    )
    assert set(only_job(new)) == {"hook", "extra_configs"}
    assert "note: x" not in text
    assert "# about the note" in text
    assert any(
        "old.yaml:3: `remark` removed: 1 (the original ignored it" in str(change) for change in migration.changes
    )


@pytest.mark.parametrize(
    "type_", [type_ for factory, type_ in tables.COMPONENTS if factory == "DataPoolManipulatorFactory"]
)
def test_missing_paths_are_skipped_as_they_were(type_, migrated):
    new, _, _ = migrated(pool(type_))
    assert only_job(new)["extra_configs"]["skip_missing"] is True


def test_a_default_that_input_sets_is_not_written(migrated):
    config = pool("data_pool_merging")
    config["execution_job_configs"][0]["local"] = {"extra_configs.skip_missing": False}
    new, _, _ = migrated(config)
    assert "skip_missing" not in only_job(new)["extra_configs"]


def test_the_seed_that_was_not_read(migrated):
    new, _, _ = migrated(pool("data_pool_downsampling", seed=7, target_num_samples=3))
    assert "seed" not in only_job(new)["extra_configs"]


def test_folders_named_like_files(migrated):
    for type_ in ("data_pool_merging", "data_pool_construction"):
        new, _, _ = migrated(pool(type_, export_path="out/x.jsonl"))
        assert only_job(new)["extra_configs"]["export_path"] == "out/x"
    new, _, _ = migrated(infer("api", export_path="out/x.jsonl.gz"))
    assert only_job(new)["extra_configs"]["export_path"] == "out/x"


def test_ranking_keys(migrated):
    new, _, _ = migrated(pool("data_pool_ranking", metrics=[{}], ranking_keys=["mse", "format_error", "pred_path"]))
    assert only_job(new)["extra_configs"]["ranking_keys"] == ["mse", "format_errors", "dataset"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"api_endpoint": "/chat/completions"}, {}),
        ({"api_endpoint": "/completions"}, {"endpoint": "completions"}),
        ({"api_endpoint": "http://h/v1/chat/completions"}, {"api_endpoint": "http://h/v1"}),
        ({"api_endpoint": "http://h/v1/completions/"}, {"api_endpoint": "http://h/v1", "endpoint": "completions"}),
        ({"api_endpoint": "http://h/v1"}, {"api_endpoint": "http://h/v1"}),
        (
            {"api_endpoint": "/v1/chat/completions", "model_params": {"base_url": "http://h/"}},
            {"model_params": {"base_url": "http://h/v1"}},
        ),
        ({"model_params": {"max_retries": 3, "timeout": 5}}, {"model_params": {"timeout": 5}}),
        ({"sampling_params": {"stream": True, "n": 1}}, {"sampling_params": {"n": 1}}),
        (
            {"api_endpoint": "http://h/v1/chat/completions", "model_params": {"base_url": "http://other"}},
            {"api_endpoint": "http://h/v1", "model_params": {}},
        ),
    ],
)
def test_server_and_parameters_of_api(old, new, migrated, config_file):
    config_file('{"query": "x"}\n', "a.jsonl")
    result, _, _ = migrated(infer("api", **old))
    common = {"model": "m", "dataset_path": "a.jsonl", "export_path": "out", "skip_missing": True}
    assert only_job(result)["extra_configs"] == extra("api", **common, func_kwargs={"strip": False}, **new)
    assert lasting("old.migrated.yaml") == []


def test_sampling_of_local_models(migrated, config_file):
    new, _, _ = migrated(infer("huggingface", sampling_params={"top_k": -1, "temperature": 0.5}))
    assert only_job(new)["extra_configs"]["sampling_params"] == {"temperature": 0.5, "max_new_tokens": 512}
    assert only_job(new)["extra_configs"]["max_failures"] == 0
    assert lasting("old.migrated.yaml") == []
    new, _, _ = migrated(infer("vllm", model_params={"tensor_parallel_size": 2}, sampling_params={"top_k": -1}))
    assert only_job(new)["extra_configs"]["tensor_parallel_size"] == 2
    assert only_job(new)["extra_configs"]["sampling_params"] == {}
    assert lasting("old.migrated.yaml") == []


def test_the_graders_prompt_is_the_same_text(migrated):
    from data_juicer_sandbox.components.helpers import find_helper

    kwargs = {"system_key": "s", "query_key": "q", "response_key": "r.text", "unused": 1}
    new, _, _ = migrated(infer("api", build_messages_func="build_messages_for_math_qa", func_kwargs=kwargs))
    settings = only_job(new)["extra_configs"]
    assert settings["func_kwargs"].pop("strip") is False
    build = find_helper(settings["build_messages_func"], settings["func_kwargs"])
    row = {"s": "You grade.", "q": "1+1?", "r": {"text": " 2 "}}
    expected = [
        {"role": "system", "content": "You grade."},
        {"role": "user", "content": "Question: 1+1?\nAnswer:  2 "},
    ]
    assert build(row) == expected


def test_a_solvers_prompt_of_this_version_stays(migrated):
    kwargs = {"question_key": "q"}
    new, _, _ = migrated(infer("api", build_messages_func="build_messages_for_math_qa", func_kwargs=kwargs))
    assert only_job(new)["extra_configs"]["build_messages_func"] == "build_messages_for_math_qa"


def test_functions_of_ones_own(migrated):
    _, migration, text = migrated(infer("api", build_messages_func="my_function"))
    assert any("dotted path" in str(change) for change in migration.warnings)
    assert "# migrate: my_function is not registered here" in text


def test_components_of_later_versions_are_kept(migrated, monkeypatch):
    monkeypatch.delitem(FACTORIES["ModelTrainExecutorFactory"].builtin, "trinity-rft", raising=False)
    old = extra(
        "trinity-rft", trinity_home="/t", trinity_config_path="c.yaml", env_name="e", env_params={"a": 1}, odd=1
    )
    new, migration, text = migrated(job("TrainModelHook", extra_configs=old))
    assert only_job(new)["extra_configs"] == old
    assert "# migrate: this version has no component `trinity-rft` for TrainModelHook yet" in text
    assert len(migration.warnings) == 1


# Recipes


def test_data_juicers_default_for_failing_rows(migrated, config_file):
    inline = job("ProcessDataHook", dj_configs={"dataset_path": "a.jsonl", "process": []})
    new, _, _ = migrated(inline)
    assert only_job(new)["dj_configs"]["skip_op_error"] is True
    in_file = job("ProcessDataHook", dj_configs="recipe.yaml")
    new, migration, _ = migrated(in_file, recipe={"dataset_path": "a.jsonl"})
    assert only_job(new) == {**only_job(in_file), "local": {"dj_configs.skip_op_error": True}}
    assert len(migration.files) == 1
    new, _, _ = migrated(in_file, recipe={"dataset_path": "a.jsonl", "skip_op_error": False})
    assert only_job(new) == only_job(in_file)


def test_a_key_that_data_juicer_does_not_have(migrated):
    _, migration, _ = migrated(job("ProcessDataHook", dj_configs={"add_suffix": True, "process": []}))
    assert any("no key `add_suffix`" in str(change) for change in migration.warnings)


# Names of jobs and results


def two_jobs(first: dict, second: dict, **top: object) -> dict:
    base = {"hook": "GeneralProbeHook", "extra_configs": extra("data_pool_ranking", dataset_path=["a"], metrics=[1])}
    jobs = [{**base, **first}, {**base, **second}]
    return {**top, "pipelines": [{"p": {"probe_job_configs": jobs}}]}


def jobs_of(config: dict) -> list[dict]:
    return config["pipelines"][0]["p"]["probe_job_configs"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("p.a.0", "p.a.res_1"), ("-1.0", "-1.res_1"), (-1.0, "-1.res_1"), ("p.a.0.x", "p.a.res_1.x"), ("p.a", "p.a")],
)
def test_results_without_names(old, new, migrated):
    result, _, _ = migrated(two_jobs({"meta_name": "a"}, {"input": {"extra_configs.metrics": old}}))
    assert jobs_of(result)[1]["input"] == {"extra_configs.metrics": new}


def test_a_result_that_does_not_exist(migrated):
    for key in ("p.a.0", "p.b.x", "q.a.x", "-1.other"):
        second = {"meta_name": "c", "input": {"extra_configs.metrics": key}}
        new, migration, text = migrated(two_jobs({"meta_name": "a", "output": ["x"]}, second))
        assert jobs_of(new)[1]["input"] == {"extra_configs.metrics": key}
        assert f"{key} names no" in text
        assert any("the original set null, here it is an error" in str(change) for change in migration.warnings)


def test_the_name_of_a_job_without_one(migrated):
    result, _, _ = migrated(two_jobs({}, {"input": {"extra_configs.metrics": "p.anonymous_meta_name.0"}}))
    assert jobs_of(result)[0]["meta_name"] == "anonymous_meta_name"
    assert jobs_of(result)[1]["input"] == {"extra_configs.metrics": "p.anonymous_meta_name.res_1"}


def test_names_that_repeat_or_are_no_words(migrated):
    result, _, _ = migrated(two_jobs({"meta_name": "a"}, {"meta_name": "a"}))
    assert [job["meta_name"] for job in jobs_of(result)] == ["a", "a_2"]
    result, _, _ = migrated(two_jobs({"meta_name": "a.b/c"}, {"meta_name": 7}))
    assert [job["meta_name"] for job in jobs_of(result)] == ["a_b_c", "7"]


def test_a_refine_job_keeps_the_name_of_its_probe(migrated):
    probe = {"hook": "ProbeViaAnalyzerHook", "meta_name": "a", "dj_configs": {"process": []}}
    refine = {"hook": "RefineRecipeViaKSigmaHook", "meta_name": "a", "dj_configs": {"process": []}}
    new, _, _ = migrated({"probe_job_configs": [probe], "refine_recipe_job_configs": [refine]})
    assert new["refine_recipe_job_configs"][0]["meta_name"] == "a"


def test_one_name_for_three_results(migrated):
    old = job("EvaluateDataHook", "evaluation", output="score", extra_configs=extra("dj_text_quality_classifier"))
    new, _, _ = migrated(old)
    assert only_job(new)["output"] == ["score", "results", "scored"]


def test_numbers_that_are_mappings_here(migrated):
    evaluate = {
        "hook": "EvaluateDataHook",
        "meta_name": "e",
        "output": ["all", "best"],
        "extra_configs": extra("accuracy", dataset_path="a"),
    }
    config = {
        "max_iter_num": 3,
        "iter_targets": ["p.e.best >= 0.9", "p.e.all == 1", "what is this"],
        "iter_updater": {"p.e.best": "p.e.extra_configs.predicted_label_key"},
        "pipelines": {"p": {"evaluation_job_configs": [evaluate]}},
    }
    new, _, _ = migrated(config)
    assert new["iter_targets"] == ["p.e.best.accuracy >= 0.9", "p.e.all == 1", "what is this"]
    assert new["iter_updater"] == {"p.e.best.accuracy": "p.e.extra_configs.predicted_key"}


def test_an_updater_without_effect(migrated):
    config = two_jobs(
        {"meta_name": "a", "output": ["x"]},
        {"meta_name": "b", "input": {"extra_configs.metrics": "p.a.x"}},
        iter_updater={"p.a.x": "p.b.extra_configs.metrics"},
        max_iter_num=2,
    )
    new, migration, _ = migrated(config)
    assert new["iter_updater"] == {}
    assert any("`input` set the same key, and won there" in str(change) for change in migration.changes)


@pytest.mark.parametrize(
    ("type_", "metric", "new"),
    [
        ("dj_text_quality_classifier", "e", "p.e.score"),
        ("mse", "e", "p.e.res_2.mse"),
        ("mse", "e.a.mse", "e.a.mse"),
        ("mse", "p.e.1", "p.e.res_2.mse"),
        ("mse", "loss", "loss"),
    ],
)
def test_metrics_of_a_sweep(type_, metric, new, migrated):
    outputs = {"output": "score"} if type_ != "mse" else {}
    evaluate = {
        "hook": "EvaluateDataHook",
        "meta_name": "e",
        **outputs,
        "extra_configs": extra(type_, dataset_path="a"),
    }
    sweep = {
        "sweep_max_count": 3,
        "metric": {"name": metric, "goal": "minimize"},
        "parameters": {"p.e.extra_configs.predicted_value_key": {"values": ["a"]}},
    }
    config = {"hpo_config": "sweep.yaml", "pipelines": {"p": {"evaluation_job_configs": [evaluate]}}}
    _, migration, _ = migrated(config, sweep=sweep)
    texts = {file.old_path: file.text for file in migration.files}
    text = texts.get("sweep.yaml", Path("sweep.yaml").read_text())
    assert f"name: {new}\n" in text
    if type_ == "mse":
        assert "p.e.extra_configs.predicted_key" in text


# The top level


def test_top_level(migrated):
    new, _, _ = migrated({"project_name": "x", "max_iter_num": "5", "resume": "true", "config": "a.yaml"})
    expected = {"project_name": "x", "work_dir": tables.WORK_DIR, "max_iter_num": 5, "resume": True}
    assert new == expected
    assert list(new) == list(expected)
    new, migration, _ = migrated({"project_name": "hello_world"})
    assert not migration.files
    assert migrate("old.yaml").changes == ()


def test_text_that_would_be_a_variable(migrated):
    kwargs = {"template": "costs ${price}, in ${work_dir}, $${x}"}
    new, _, _ = migrated(infer("api", func_kwargs=kwargs))
    assert only_job(new)["extra_configs"]["func_kwargs"]["template"] == "costs $${price}, in ${work_dir}, $${x}"


# Folders of iterations


def test_paths_of_several_passes(migrated):
    first = {
        "hook": "DataPoolManipulationHook",
        "extra_configs": extra("data_pool_merging", dataset_path=["a"], export_path="o"),
    }
    second = {
        "hook": "DataPoolManipulationHook",
        "extra_configs": extra(
            "data_pool_merging",
            dataset_path=["o/iter_2/a", "o/iter_1/a", "other/iter_1/a", "o/iter_1/iter_1/b"],
            export_path="p",
        ),
    }
    new, migration, text = migrated({"max_iter_num": 3, "execution_job_configs": [first, second]})
    assert new["execution_job_configs"][1]["extra_configs"]["dataset_path"] == [
        "o/iter_2/a",
        "o/a",
        "other/iter_1/a",
        "o/b",
    ]
    assert text.count("o/iter_2/a is of a later pass") == 1
    assert "# migrate: pass n writes to" in text
    assert len(migration.warnings) >= 3


@pytest.mark.parametrize(
    ("name", "path", "new"),
    [
        ("a", "o/iter_1/x.jsonl", "o/x_a_analyzed.jsonl"),
        (None, "o/iter_1/x.jsonl", "o/x_probe_1_ProbeViaAnalyzerHook_analyzed.jsonl"),
        ("a", "o/iter_1/x_stats.jsonl", "o/x_a_analyzed.jsonl"),
        ("a", "o/x.jsonl", "o/x.jsonl"),
        ("a", "0.5 o/iter_1/x.jsonl 2 u/iter_1/x.jsonl", "0.5 o/x_a_analyzed.jsonl 2 u/iter_1/x.jsonl"),
    ],
)
def test_paths_of_analyzed_data(name, path, new, migrated):
    recipe = {"dataset_path": "a.jsonl", "export_path": "o/x.jsonl", "process": []}
    probe = {"hook": "ProbeViaAnalyzerHook", "meta_name": name, "dj_configs": recipe}
    run = {"hook": "ProcessDataHook", "dj_configs": {"dataset_path": path, "export_path": "p/y.jsonl", "process": []}}
    result, _, _ = migrated({"probe_job_configs": [probe], "execution_job_configs": [run]})
    assert result["execution_job_configs"][0]["dj_configs"]["dataset_path"] == new
    assert result["probe_job_configs"][0]["dj_configs"]["export_path"] == "o/x.jsonl"


# Files


def test_files_of_jobs_and_configs(migrated, config_file, tmp_path):
    (tmp_path / "sub").mkdir()
    task = {"hook": "DataPoolManipulationHook", "extra_configs": "sub/merge.yaml"}
    config_file(extra("data_pool_merging", dataset_path=["a"], export_path="b", odd=1), "sub/merge.yaml")
    new, migration, _ = migrated({"execution_job_configs": ["task.yaml", "task.yaml"]}, task=task)
    assert new["execution_job_configs"] == ["task.migrated.yaml"] * 2
    assert [file.path for file in migration.files] == ["merge.migrated.yaml", "task.migrated.yaml", "old.migrated.yaml"]
    assert "extra_configs: merge.migrated.yaml" in Path("task.migrated.yaml").read_text()
    assert "odd" not in Path("merge.migrated.yaml").read_text()
    assert "odd" in Path("sub/merge.yaml").read_text()


def test_a_job_file_that_is_used_twice(migrated):
    task = {"hook": "ProcessDataHook", "meta_name": "a", "input": {"dj_configs.x": -1.0}}
    new, _, _ = migrated({"execution_job_configs": ["task.yaml", "task.yaml"]}, task=task)
    assert new["execution_job_configs"] == ["task.migrated.yaml", "task.migrated-2.yaml"]
    assert "meta_name: a_2" in Path("task.migrated-2.yaml").read_text()
    assert "dj_configs.x: -1.res_1" in Path("task.migrated-2.yaml").read_text()


def test_a_sweep_beside_a_config_that_moves(config_file, tmp_path):
    config_file({"metric": {"name": "a.b"}, "sweep_max_count": 1}, "sub/sweep.yaml")
    config_file({"hpo_config": "sweep.yaml"}, "sub/old.yaml")
    assert not migrate("sub/old.yaml").files
    assert migrate("sub/old.yaml", "new.yaml").files[-1].text == "hpo_config: sub/sweep.yaml\n"


def test_a_word_for_the_mode_that_is_neither(migrated):
    _, migration, text = migrated({"iter_targets_mode": "both"})
    assert "# migrate: the original took any other word" in text
    assert len(migration.warnings) == 1


def test_two_files_of_one_name(migrated, config_file, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        config_file(extra("data_pool_merging", dataset_path=[folder], export_path=folder), f"{folder}/x.yaml")
    jobs = [{"hook": "DataPoolManipulationHook", "extra_configs": f"{folder}/x.yaml"} for folder in ("a", "b")]
    new, _, _ = migrated({"execution_job_configs": jobs})
    names = [job["extra_configs"] for job in new["execution_job_configs"]]
    assert names == ["x.migrated.yaml", "x.migrated-2.yaml"]
    assert "dataset_path:\n- b" in Path("x.migrated-2.yaml").read_text()


def test_a_file_that_cannot_be_read(migrated):
    _, migration, text = migrated(job("TrainModelHook", extra_configs="bad.yaml"), bad="- a list\n")
    assert "# migrate: not migrated: bad.yaml:1: expected a mapping of keys" in text
    assert len(migration.warnings) == 1


# The tables


def test_the_tables_name_what_exists():
    """A renamed or removed key is not a parameter here; a new name, a default and the key for the rest are."""
    for (factory, type_), table in tables.COMPONENTS.items():
        if type_ not in FACTORIES[factory].builtin:
            continue  # of a later version
        names = set(parameters(FACTORIES[factory].find(type_))[0])
        here = {
            *table.renamed.values(),
            *(key.split(".")[0] for key in table.defaults),
            *table.ignored,
            *table.absent_notes,
        }
        here |= {name for name in table.notes if name} | ({table.rest} if table.rest else set())
        assert here <= names, (type_, here - names)
        assert not (set(table.renamed) | set(table.removed)) & names, type_
    assert set(tables.EXTRA_OUTPUTS) <= set(tables.COMPONENTS)
    for (factory, type_), more in tables.EXTRA_OUTPUTS.items():
        declared = FACTORIES[factory].find(type_).outputs
        assert declared is not None
        assert len(declared) == tables.COMPONENTS[factory, type_].outputs + len(more)
    assert len(tables.COMPONENTS) == 26, "the original's 25, one of which (ranking) is in two factories here"
