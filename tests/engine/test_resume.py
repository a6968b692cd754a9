"""What runs again, what is kept, and why."""

import json
import os
import pickle
from pathlib import Path

ALL = ["rows", "other", "scale", "sum_scaled", "sum_other"]


def extra(config, pipeline, phase, index):
    return config["pipelines"][pipeline][f"{phase}_job_configs"][index]["extra_configs"]


def test_a_finished_run_resumed_does_nothing_and_exits_0(chain, go, attempts, reasons):
    assert go(chain) == 0
    before = {path: path.stat().st_mtime_ns for path in Path("out/data").iterdir()}
    assert go(chain, "--resume") == 0
    assert attempts() == dict.fromkeys(ALL, 1)
    assert {path: path.stat().st_mtime_ns for path in Path("out/data").iterdir()} == before
    assert reasons(chain) == {}


def test_resume_without_a_checkpoint_starts_from_the_beginning(chain, go, attempts):
    assert go(chain, "--resume") == 0
    assert attempts() == dict.fromkeys(ALL, 1)


def test_a_changed_config_runs_again_with_all_that_reads_from_it_and_nothing_else(chain, go, attempts, reasons):
    go(chain)
    extra(chain, "make", "execution", 0)["rows"] = 31
    assert reasons(chain) == {
        "rows": "config changed: extra_configs.rows",
        "scale": "reads from make.rows, which runs again",
        "sum_scaled": "reads from use.scale, which runs again",
    }
    assert go(chain, "--resume") == 0
    assert attempts() == {**dict.fromkeys(ALL, 2), "other": 1, "sum_other": 1}
    assert reasons(chain) == {}


def test_a_default_written_out_is_named_as_a_change(chain, go, reasons):
    go(chain)
    extra(chain, "use", "execution", 0)["factor"] = 2.0
    assert reasons(chain)["scale"] == "config changed: extra_configs.factor"


def test_a_changed_input_file_is_noticed_by_its_content(chain, go, reasons):
    source = Path("out/data/given.jsonl")
    go(chain)
    source.write_text('{"x": 1}\n')
    extra(chain, "use", "evaluation", 1)["dataset_path"] = str(source)
    assert go(chain, "--resume") == 0
    os.utime(source, (1, 1))  # touched, not changed
    assert reasons(chain) == {}
    source.write_text('{"x": 2}\n')
    assert reasons(chain) == {"sum_other": f"input file {source} has changed"}


def test_a_changed_or_missing_output_file_is_made_again(chain, go, reasons):
    go(chain)
    Path("out/data/other.jsonl").unlink()
    assert reasons(chain)["other"] == "output file out/data/other.jsonl is gone"
    Path("out/data/other.jsonl").write_text("half a li")
    assert reasons(chain)["other"] == "output file out/data/other.jsonl has changed"
    assert "scale" not in reasons(chain)
    go(chain, "--resume")
    assert reasons(chain) == {}


def test_code_and_secrets_do_not_count(chain, go, reasons):
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    job["extra_configs"] = {"type": "toy_lab.steps.Give", "value": {"api_key": "secret-one", "x": 1}}
    go(chain)
    job["extra_configs"]["value"]["api_key"] = "secret-two"
    assert reasons(chain) == {}


def test_a_failed_job_keeps_what_is_done_and_is_tried_again(chain, go, attempts, reasons, capsys):
    extra(chain, "use", "evaluation", 0)["fail"] = True
    assert go(chain) == 1
    said = capsys.readouterr().err
    assert "use.sum_scaled" in said
    assert "told to fail (set `fail: false`)" in said
    assert "out/sandbox.log" in said
    assert "--resume true" in said
    assert reasons(chain) == {"sum_scaled": "it failed last time", "sum_other": "not run yet"}
    extra(chain, "use", "evaluation", 0)["fail"] = False
    assert go(chain, "--resume") == 0
    assert attempts() == {**dict.fromkeys(ALL, 1), "sum_scaled": 2}
    assert "told to fail" in Path("out/sandbox.log").read_text()


def test_a_job_added_in_front_does_not_make_named_ones_run_again(chain, go, reasons):
    go(chain)
    jobs = chain["pipelines"]["make"]["execution_job_configs"]
    jobs.insert(
        0,
        {
            **jobs[1],
            "meta_name": "more",
            "extra_configs": {**jobs[1]["extra_configs"], "export_path": "out/data/more.jsonl"},
        },
    )
    assert reasons(chain) == {"more": "not run yet"}


def test_a_file_that_a_later_job_writes_over_does_not_make_the_earlier_one_run_again(chain, go, reasons):
    jobs = chain["pipelines"]["use"]["execution_job_configs"]
    jobs[0]["extra_configs"]["export_path"] = "out/data/twice.jsonl"
    again = {**jobs[0], "meta_name": "again", "input": {"extra_configs.dataset_path": "scale.path"}}
    again["extra_configs"] = {"type": "toy_lab.steps.MakeRows", "export_path": "out/data/twice.jsonl", "rows": 3}
    del again["input"], again["output"]
    chain["pipelines"]["use"]["evaluation_job_configs"].append(again)
    assert go(chain) == 0
    assert reasons(chain) == {}


def test_results_that_differ_make_the_plan_anew(chain, go, attempts, reasons):
    """No config says that `hidden` writes what `sum_other` reads; the run notices all the same."""
    Path("hidden.jsonl").write_text('{"x": 0}\n')
    hidden = {"type": "toy_lab.steps.Hidden", "folder": ".", "stem": "hidden", "number": 1}
    chain["pipelines"]["make"]["execution_job_configs"][1]["extra_configs"] = hidden
    extra(chain, "use", "evaluation", 1)["dataset_path"] = "hidden.jsonl"
    assert go(chain) == 0
    hidden["number"] = 2
    assert reasons(chain) == {"other": "config changed: extra_configs.number"}
    assert go(chain, "--resume") == 0
    assert attempts() == {**dict.fromkeys(ALL, 1), "other": 2, "sum_other": 2}
    assert json.loads(Path("out/context_infos.json").read_text())["iterations"][0]["use"][-1]["res_1"] == {"hidden": 2}


def test_without_resume_an_old_run_is_moved_aside_not_overwritten(chain, go, attempts):
    go(chain)
    first = Path("out/context_infos.pkl").read_bytes()
    assert go(chain) == 0
    (aside,) = Path("out").glob("previous_*")
    assert (aside / "context_infos.pkl").read_bytes() == first
    assert attempts() == dict.fromkeys(ALL, 1)
    assert (aside / "metrics.jsonl").exists()


def test_a_damaged_checkpoint_stops_a_resumed_run(chain, go, capsys):
    go(chain)
    Path("out/context_infos.pkl").write_bytes(Path("out/context_infos.pkl").read_bytes()[:100])
    assert go(chain, "--resume") == 2
    assert "the copy before it is good: mv out/context_infos.prev.pkl out/context_infos.pkl" in capsys.readouterr().err


def test_falsy_results_are_results(chain, go):
    give = {"hook": "GeneralProbeHook", "extra_configs": {"type": "toy_lab.steps.Give"}}
    values = [0.0, [], "", None, False, {}]
    chain["pipelines"] = {
        "p": {
            "probe_job_configs": [
                {**give, "meta_name": f"j{n}", "extra_configs": {**give["extra_configs"], "value": value}}
                for n, value in enumerate(values)
            ]
        }
    }
    assert go(chain) == 0
    records = pickle.loads(Path("out/context_infos.pkl").read_bytes())[0]["p"]
    assert [record["res_1"] for record in records] == values


def test_a_tuple_is_several_outputs_and_their_number_must_agree(chain, go, capsys):
    job = {
        "hook": "GeneralProbeHook",
        "meta_name": "two",
        "output": ["a", "b"],
        "extra_configs": {"type": "toy_lab.steps.Give", "value": [1, [2, 3]], "several": True},
    }
    chain["pipelines"] = {"p": {"probe_job_configs": [job]}}
    assert go(chain) == 0
    record = pickle.loads(Path("out/context_infos.pkl").read_bytes())[0]["p"][0]
    assert (record["meta_name"], record["a"], record["b"]) == ("two", 1, [2, 3])
    job["output"] = ["a"]
    assert go(chain) == 1
    assert "put out 2 result(s), but `output` names 1: a" in capsys.readouterr().err


def test_long_texts_in_configs_and_results_are_no_paths(chain, go, reasons):
    """A prompt is longer than any file name may be; asking the disk about it must not fail the job."""
    prompts = ["Answer this. " * 400, "a/b. " * 2000, "with a \0 in it."]
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    job["extra_configs"] = {"type": "toy_lab.steps.Give", "value": prompts}
    assert go(chain) == 0
    assert reasons(chain) == {}


def test_a_result_in_the_current_folder_is_watched_too(chain, go, reasons):
    """Its path has no slash by which to tell it from other words."""
    give = {"hook": "GeneralProbeHook", "meta_name": "named", "extra_configs": {"type": "toy_lab.steps.Give"}}
    give["extra_configs"]["value"] = "mine.jsonl"
    chain["pipelines"]["use"]["evaluation_job_configs"].append(give)
    Path("mine.jsonl").write_text('{"x": 1}\n')
    assert go(chain) == 0
    Path("mine.jsonl").write_text('{"x": 2}\n')
    assert list(reasons(chain)) == ["named"]
