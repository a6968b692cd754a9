"""A config file becomes types, or a list of all its faults."""

import pytest

from data_juicer_sandbox.config.loader import load, load_or_raise
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.errors import ConfigErrors

JOB = {"hook": "GeneralProbeHook", "extra_configs": {"type": "x.y"}}


def faults(path, **overrides):
    return [str(problem) for problem in load(str(path), overrides)[1]]


def test_both_pipeline_forms_are_the_same(config_file):
    lists = {"probe_job_configs": [JOB], "evaluation_job_configs": None}
    mapping = load_or_raise(str(config_file({"pipelines": {"b": lists, "a": lists}}, "m.yaml")))
    listed = load_or_raise(str(config_file({"pipelines": [{"b": lists}, {"a": lists}]}, "l.yaml")))
    assert mapping.pipelines == listed.pipelines
    assert [pipeline.name for pipeline in mapping.pipelines] == ["b", "a"]


def test_the_single_form_is_named_anonymous_and_runs_the_phases_in_order(config_file):
    config = load_or_raise(str(config_file({f"{phase.value}_job_configs": [JOB] for phase in reversed(Phase)})))
    assert [pipeline.name for pipeline in config.pipelines] == ["anonymous"]
    assert [job.phase for job in config.jobs()] == list(Phase)


def test_unnamed_jobs_get_stable_names(config_file):
    config = load_or_raise(str(config_file({"execution_job_configs": [JOB, {**JOB, "meta_name": "me"}, JOB]})))
    names = [job.meta_name for job in config.jobs()]
    assert names == ["execution_1_GeneralProbeHook", "me", "execution_3_GeneralProbeHook"]


def test_defaults(config_file):
    config = load_or_raise(str(config_file({"probe_job_configs": []})))
    assert (config.project_name, config.experiment_name) == ("hello_world", "experiment1")
    assert config.work_dir == "./outputs/hello_world"
    assert (config.resume, config.debug, config.max_iter_num, config.watchers) == (False, False, 1, None)


def test_variables_stand_in_any_string(config_file):
    job = {
        **JOB,
        "local": {"extra_configs.p": "${work_dir}/x"},
        "extra_configs": {"type": "x.y", "a": ["$${b}", "${project_name}"]},
    }
    config = load_or_raise(
        str(config_file({"project_name": "p", "work_dir": "/w/${project_name}", "probe_job_configs": [job]}))
    )
    read = next(config.jobs())
    assert read.local == {"extra_configs.p": "/w/p/x"}
    assert read.extra_configs["a"] == ["${b}", "p"]


def test_an_unknown_variable_is_a_fault_with_its_line(config_file):
    path = config_file("project_name: p\nprobe_job_configs:\n  - hook: H\n    dj_configs: ${work_dirr}/a.yaml\n")
    assert len(faults(path)) == 1
    assert ":4: unknown variable ${work_dirr} (did you mean 'work_dir'?" in faults(path)[0]


def test_an_unknown_variable_in_parameters_is_a_fault_with_its_line(config_file):
    text = "work_dir: w\nparameters:\n  op.path: ${work_dir}/a\n  op.other:\n    - x\n    - ${wrk_dir}/b\n"
    (message,) = faults(config_file(text))
    assert "sandbox.yaml:6: unknown variable ${wrk_dir} (did you mean 'work_dir'?" in message
    assert "write $${ for a literal ${" in message
    (message,) = faults(config_file("work_dir: w\n"), parameters={"op.path": "${wrk_dir}"})
    assert message.startswith("--parameters: unknown variable ${wrk_dir}")
    assert faults(config_file("parameters: {op.path: '$${wrk_dir}'}\n")) == []


def test_an_unknown_variable_in_a_search_is_a_fault_with_its_line(config_file):
    text = "method: random\nmetric:\n  name: p.j.score\n  goal: maximize\nparameters:\n  op.a:\n    value: ${nme}\n"
    config_file(text, "sweep.yaml")
    messages = faults(config_file("hpo_config: sweep.yaml\nproject_name: p\n"))
    assert any("sweep.yaml:7: unknown variable ${nme}" in message for message in messages)


def test_flags_win_over_the_file(config_file):
    path = config_file({"project_name": "file", "resume": False})
    config = load_or_raise(str(path), {"project_name": "flag", "resume": True})
    assert (config.project_name, config.resume, config.work_dir) == ("flag", True, "./outputs/flag")


def test_a_fault_in_a_flag_names_the_flag(config_file):
    assert any(
        text.startswith("--iter_targets_mode:")
        for text in faults(config_file({"debug": True}), iter_targets_mode="some")
    )


def test_a_job_and_its_configs_may_be_files(config_file):
    config_file({**JOB, "meta_name": "filed", "dj_configs": "recipe.yaml"}, "job.yaml")
    config = load_or_raise(str(config_file({"probe_job_configs": ["job.yaml"]})))
    (job,) = config.jobs()
    assert (job.meta_name, job.dj_configs) == ("filed", "recipe.yaml")
    assert str(job.where("meta_name")) == "job.yaml:4"


def test_all_faults_at_once_each_with_its_line(config_file):
    path = config_file(
        """\
projct_name: a
resume: maybe
max_iter_num: -1
pipelines:
  - p:
      probe_jobs: []
      probe_job_configs:
        - meta_name: x
        - hook: H
          meta_name: a.b
        - hook: H
          input: {dataset: 3}
          output: [same, same]
          extra_config: 1
        - hook: H
          meta_name: dup
        - hook: H
          meta_name: dup
          extra_configs: [1]
  - q: 3
  - p: {}
iter_targets: [nonsense]
execution_job_configs: []
"""
    )
    said = "\n".join(faults(path))
    for expected in (
        ":1: unknown key 'projct_name' (did you mean 'project_name'?",
        ":2: 'resume' must be true or false, not 'maybe'",
        ":3: 'max_iter_num' must be 0",
        ":6: unknown key 'probe_jobs' in pipeline 'p'",
        ":8: the job needs a `hook`",
        ":10: `meta_name` must be a word without dots",
        ":12: 'dataset' does not start with dj_configs or extra_configs",
        ":12: `input` must map to keys of the context, not 3",
        ":13: two outputs have the same name",
        ":14: unknown job key 'extra_config' (did you mean 'extra_configs'?",
        ":18: `meta_name` 'dup' is already used on line 16",
        ":19: `extra_configs` must be a mapping, the path",
        ":20: pipeline 'q' must hold job lists",
        ":21: two pipelines are named 'p'",
        ":22: 'nonsense' is not a valid target",
        ":23: 'pipelines' and 'execution_job_configs' cannot be used together",
    ):
        assert expected in said, f"{expected}\nnot in\n{said}"
    assert len(faults(path)) == 16


def test_a_refine_job_may_bear_the_name_of_its_probe_and_nobody_else(config_file):
    named = {**JOB, "meta_name": "same"}
    assert faults(config_file({"probe_job_configs": [named], "refine_recipe_job_configs": [named]})) == []
    assert len(faults(config_file({"probe_job_configs": [named], "refine_recipe_job_configs": [named, named]}))) == 1
    assert len(faults(config_file({"probe_job_configs": [named], "execution_job_configs": [named]}))) == 1


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "just words"])
def test_what_is_no_config_at_all(config_file, text):
    with pytest.raises(ConfigErrors):
        load_or_raise(str(config_file(text)))


def test_targets_are_parsed(config_file):
    config = load_or_raise(str(config_file({"iter_targets": ["p.j.a.b >= 0.5", "p.j.c<-1e-3"]})))
    assert [(t.key, t.op, t.number) for t in config.iter_targets] == [("p.j.a.b", ">=", 0.5), ("p.j.c", "<", -1e-3)]
