"""`resolve`: file contents, then `local`, then `input`; nothing is changed in place."""

from copy import deepcopy

import pytest
import yaml

from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.errors import JobError, ResolveError
from data_juicer_sandbox.workflow.resolve import resolve


def job(**keys):
    return Job("p", Phase.EXECUTION, 1, "H", "me", True, **keys)


def done(pipeline, name, **outputs):
    return pipeline, JobRecord(name, outputs, Provenance(status="done", phase="probe"))


def test_dots_and_indexes_go_deeper():
    recipe = {"process": [{"a": None}, {"text_length_filter": {"min_len": 1, "max_len": 9}}], "np": 2}
    found = resolve(job(dj_configs=recipe, local={"dj_configs.process.1.text_length_filter.min_len": 5}), [], {})
    assert found.dj_configs == {"process": [{"a": None}, {"text_length_filter": {"min_len": 5, "max_len": 9}}], "np": 2}


def test_missing_mappings_on_the_way_are_made():
    found = resolve(
        job(local={"extra_configs.a.b.c": 1, "dj_configs.process.0": 2}, dj_configs={"process": [0]}), [], {}
    )
    assert found.extra_configs == {"a": {"b": {"c": 1}}}
    assert found.dj_configs == {"process": [2]}


def test_a_list_is_made_from_its_first_item_on():
    inputs = {"extra_configs.paths.0": "j.a", "extra_configs.paths.1": "j.b", "extra_configs.given.1": "j.b"}
    before = [done("p", "j", a="one", b="two")]
    found = resolve(job(input=inputs, extra_configs={"given": ["x"]}), before, {})
    assert found.extra_configs == {"given": ["x", "two"], "paths": ["one", "two"]}
    with pytest.raises(ResolveError, match="index 2 is out of range for a list of 1"):
        resolve(job(input={"extra_configs.given.2": "j.a"}, extra_configs={"given": ["x"]}), before, {})


@pytest.mark.parametrize("sources", [("local", "input"), ("input", "local")])
def test_local_may_set_the_second_item_of_a_list_whose_first_one_input_sets(sources):
    before = [done("p", "j", a="one")]
    keys = {"local": {}, "input": {}}
    keys[sources[0]]["extra_configs.deep.paths.1"] = {"local": "two", "input": "j.a"}[sources[0]]
    keys[sources[1]]["extra_configs.deep.paths.0"] = {"local": "two", "input": "j.a"}[sources[1]]
    expected = ["one", "two"] if sources == ("local", "input") else ["two", "one"]
    resolved = resolve(job(**keys, extra_configs={}), before, {})
    assert resolved.extra_configs == {"deep": {"paths": expected}}
    both = {"extra_configs.paths.0": "by local", "extra_configs.paths.2": "third"}
    later = {"extra_configs.paths.0": "j.a", "extra_configs.paths.1": "j.a"}
    resolved = resolve(job(local=both, input=later, extra_configs={}), before, {})
    assert resolved.extra_configs == {"paths": ["one", "one", "third"]}


def test_order_is_file_then_local_then_input(tmp_path):
    path = tmp_path / "extra.yaml"
    path.write_text("a: file\nb: file\nc: file\n")
    found = resolve(
        job(
            extra_configs=str(path),
            local={"extra_configs.b": "local", "extra_configs.c": "local"},
            input={"extra_configs.c": "j.out"},
        ),
        [done("p", "j", out="input")],
        {},
    )
    assert found.extra_configs == {"a": "file", "b": "local", "c": "input"}
    assert found.files == (str(path),)


def test_a_whole_config_is_replaced_by_a_path_which_is_read(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"process": [], "np": 4}))
    found = resolve(
        job(dj_configs={"np": 1}, input={"dj_configs.np": "-1.n", "dj_configs": "-1.path"}),
        [done("p", "j", path=str(path), n=8)],
        {},
    )
    assert found.dj_configs == {"process": [], "np": 8}  # the whole first, whatever order they are written in


def test_minus_one_is_the_job_before_across_pipelines_too():
    finished = [done("p", "a", out=1), done("other", "b", out={"paths": ["x", "y"]})]
    found = resolve(job(input={"extra_configs.v": "-1.out.paths.0", "extra_configs.w": "a.out"}), finished, {})
    assert found.extra_configs == {"v": "x", "w": 1}


def test_keys_with_and_without_the_pipeline():
    finished = [done("other", "j", out="theirs"), done("p", "j", out="ours"), done("p", "last", out=0)]
    keys = {"extra_configs.a": "j.out", "extra_configs.b": "other.j.out", "extra_configs.c": "p.j.out"}
    assert resolve(job(input=keys), finished, {}).extra_configs == {"a": "ours", "b": "theirs", "c": "ours"}


def test_of_a_probe_and_its_refine_job_the_later_one_that_has_the_output_is_meant():
    finished = [done("p", "same", table="t", res="probe"), done("p", "same", recipe="r", res="refine")]
    keys = {f"extra_configs.{name}": f"same.{name}" for name in ("table", "recipe", "res")}
    assert resolve(job(input=keys), finished, {}).extra_configs == {"table": "t", "recipe": "r", "res": "refine"}


def test_keys_that_hold_dots_are_found():
    found = resolve(job(input={"extra_configs.v": "-1.m.val.loss"}), [done("p", "j", m={"val.loss": 0.5})], {})
    assert found.extra_configs == {"v": 0.5}


def test_nothing_is_changed_in_place_and_twice_gives_the_same():
    recipe, value = {"process": [{"op": {"x": 1}}]}, {"deep": [1]}
    finished = [done("p", "j", out=value)]
    made = job(dj_configs=recipe, local={"dj_configs.process.0.op.x": 2}, input={"extra_configs.v": "j.out"})
    before = deepcopy((recipe, value, made))
    first = resolve(made, finished, {})
    first.extra_configs["v"]["deep"].append(99)
    first.dj_configs["process"][0]["op"]["x"] = 77
    second = resolve(made, finished, {})
    assert (recipe, value, made) == before
    assert second.extra_configs == {"v": {"deep": [1]}}
    assert second.dj_configs == {"process": [{"op": {"x": 2}}]}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["one.jsonl"], {"dataset_path": "one.jsonl"}),
        ("one.jsonl", {"dataset_path": "one.jsonl"}),
        (
            ["a.jsonl", "b.jsonl"],
            {"dataset": {"configs": [{"type": "local", "path": "a.jsonl"}, {"type": "local", "path": "b.jsonl"}]}},
        ),
    ],
)
def test_dataset_path_takes_lists(paths, expected):
    found = resolve(job(dj_configs={}, input={"dj_configs.dataset_path": "-1.out"}), [done("p", "j", out=paths)], {})
    assert found.dj_configs == expected


def test_variables_in_files(tmp_path):
    path = tmp_path / "e.yaml"
    path.write_text("a: ${work_dir}/x\n")
    assert resolve(job(extra_configs=str(path)), [], {"work_dir": "/w"}).extra_configs == {"a": "/w/x"}
    path.write_text("a: ${wrk_dir}/x\n")
    with pytest.raises(JobError, match="did you mean 'work_dir'"):
        resolve(job(extra_configs=str(path)), [], {"work_dir": "/w"})


def test_a_key_that_leads_nowhere_names_job_key_and_what_there_is():
    finished = [done("p", "train", models=["m"]), done("q", "eval", score=1)]
    with pytest.raises(ResolveError) as caught:
        resolve(job(input={"extra_configs.model": "train.model"}), finished, {})
    text = str(caught.value)
    assert "'p.me'" in text
    assert "'train.model'" in text
    assert "did you mean 'train.models'" in text
    assert "q.eval.score" in text
    assert "-1.score" in text


@pytest.mark.parametrize("key", ["-1.out.5", "-1.out.x", "-1.out.0.y", "-1.nothing", "j", "-1"])
def test_every_other_way_that_leads_nowhere(key):
    with pytest.raises(ResolveError):
        resolve(job(input={"extra_configs.v": key}), [done("p", "j", out=["a"])], {})


@pytest.mark.parametrize("way", ["extra_configs.list.3", "extra_configs.list.x", "extra_configs.text.deeper"])
def test_what_cannot_be_set(way):
    with pytest.raises(ResolveError, match="local"):
        resolve(job(extra_configs={"list": [1, 2], "text": "t"}, local={way: 1}), [], {})


def test_a_missing_config_file_names_the_job():
    with pytest.raises(JobError, match=r"`dj_configs` of job 'p.me': none.yaml: no such file"):
        resolve(job(dj_configs="none.yaml"), [], {})
