"""What runs again, what is kept, and why."""

import copy
import json
import os
import pickle
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

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


def rewrite(path, old, new):
    """Change a file's content; size and time of change stay as they were."""
    before = path.stat()
    text = path.read_text()
    assert old in text
    assert len(old) == len(new)
    path.write_text(text.replace(old, new, 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_change_that_keeps_size_and_time_is_noticed(chain, go, reasons, tmp_path):
    source = tmp_path / "given.jsonl"
    source.write_text('{"x": 1}\n')
    extra(chain, "use", "evaluation", 1)["dataset_path"] = str(source)
    assert go(chain) == 0
    time.sleep(0.05)  # so that the quick key, not the digest, decides
    assert go(chain, "--resume") == 0
    rewrite(source, "1", "2")
    assert reasons(chain) == {"sum_other": f"input file {source} has changed"}
    rewrite(source, "2", "1")
    assert reasons(chain) == {}
    rewrite(Path("out/data/other.jsonl"), "0.", "1.")
    assert reasons(chain) == {"other": "output file out/data/other.jsonl has changed"}


def test_a_replaced_file_with_the_same_size_and_time_is_noticed(chain, go, reasons, tmp_path):
    source, other = tmp_path / "given.jsonl", tmp_path / "new.jsonl"
    source.write_text('{"x": 1}\n')
    other.write_text('{"x": 2}\n')
    os.utime(source, ns=(5, 5))
    os.utime(other, ns=(5, 5))
    extra(chain, "use", "evaluation", 1)["dataset_path"] = str(source)
    time.sleep(0.05)
    assert go(chain) == 0
    other.rename(source)
    assert reasons(chain) == {"sum_other": f"input file {source} has changed"}


@pytest.mark.parametrize("change", ["swap", "rename", "add", "remove"])
def test_a_change_of_the_files_in_a_folder_is_noticed(chain, go, reasons, tmp_path, change):
    folder = tmp_path / "shards"
    folder.mkdir()
    for name, text in (("a.jsonl", '{"x": 1}\n'), ("b.jsonl", '{"x": 2}\n'), ("c.jsonl", '{"x": 3}\n')):
        (folder / name).write_text(text)
        os.utime(folder / name, ns=(5, 5))
    extra(chain, "use", "evaluation", 1)["dataset_path"] = str(folder)
    time.sleep(0.05)
    assert go(chain) == 0
    assert reasons(chain) == {}
    if change == "swap":
        (folder / "a.jsonl").rename(folder / "x")
        (folder / "b.jsonl").rename(folder / "a.jsonl")
        (folder / "x").rename(folder / "b.jsonl")
    elif change == "rename":
        (folder / "a.jsonl").rename(folder / "z.jsonl")
    elif change == "add":
        (folder / "d.jsonl").write_text("")
    else:
        (folder / "c.jsonl").unlink()
    assert reasons(chain) == {"sum_other": f"input file {folder} has changed"}


def test_a_copy_of_a_work_dir_is_kept_by_content(chain, go, reasons, tmp_path):
    assert go(chain) == 0
    shutil.copytree("out", "copy")
    shutil.rmtree("out")
    Path("copy").rename("out")
    assert reasons(chain) == {}


def test_stamps_of_an_earlier_version_are_judged_by_their_digest(chain, go, reasons):
    from data_juicer_sandbox.context.checkpoint import Checkpoint

    assert go(chain) == 0
    checkpoint = Checkpoint(Path("out"))
    context = checkpoint.read()
    for _, record in context.records():
        trace = record.provenance.trace
        old = {
            kind: {path: (7, 7, stamp[1]) for path, stamp in getattr(trace, kind).items()}
            for kind in ("inputs", "outputs")
        }
        record.provenance = replace(record.provenance, trace=replace(trace, **old))
    checkpoint.write(context)
    assert reasons(chain) == {}
    Path("out/data/other.jsonl").write_text('{"x": 2}\n')
    assert reasons(chain) == {
        "other": "output file out/data/other.jsonl has changed",
        "sum_other": "reads from make.other, which runs again",
    }


def test_an_input_that_changes_while_its_job_runs_makes_the_job_run_again(chain, go, reasons, attempts, tmp_path):
    """The digest from before the job is what counts; what others write meanwhile is no output of the job."""
    source = tmp_path / "given.jsonl"
    source.write_text('{"x": 1}\n')
    meddling = {"type": "toy_lab.steps.Meddle", "dataset_path": str(source), "text": '{"x": 2}\n'}
    chain["pipelines"]["use"]["evaluation_job_configs"][1]["extra_configs"] = meddling
    assert go(chain) == 0
    warning = f"{source} changed while job use.sum_other read it"
    assert warning in Path("out/sandbox.log").read_text()
    assert reasons(chain) == {"sum_other": f"input file {source} changed while the job ran"}
    source.write_text('{"x": 1}\n')  # what it was meanwhile, nobody knows
    assert reasons(chain) == {"sum_other": f"input file {source} changed while the job ran"}
    source.write_text('{"x": 2}\n')
    assert go(chain, "--resume") == 0
    assert attempts()["sum_other"] == 2
    assert reasons(chain) == {}


def test_an_output_that_changes_while_a_later_job_runs_is_made_again(chain, go, reasons):
    """The later job also names the file among its results, as a ranking does."""
    meddling = {"type": "toy_lab.steps.Meddle", "dataset_path": "out/data/other.jsonl", "text": '{"x": 2}\n'}
    chain["pipelines"]["use"]["evaluation_job_configs"][1]["extra_configs"] = meddling
    assert go(chain) == 0
    assert reasons(chain) == {
        "other": "output file out/data/other.jsonl has changed",
        "sum_other": "reads from make.other, which runs again",
    }


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


def test_a_file_that_an_earlier_job_made_anew_makes_its_reader_run_again(chain, go, reasons):
    """The reader was not in the config when the file was made anew, so it read the old one."""
    assert go(chain) == 0
    without_reader = copy.deepcopy(chain)
    del without_reader["pipelines"]["use"]["evaluation_job_configs"][1]
    for config in (chain, without_reader):
        extra(config, "make", "execution", 1)["seed"] = 6
    assert go(without_reader, "--resume") == 0
    assert reasons(chain) == {"sum_other": "input file out/data/other.jsonl has changed"}


def test_a_path_that_only_the_results_name_is_an_output_also_when_the_file_was_there_before(chain, go, reasons):
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    job["extra_configs"] = {"type": "toy_lab.steps.PlainWriter", "target": "plain.jsonl", "text": '{"x": 1}\n'}
    assert go(chain) == 0
    job["extra_configs"]["text"] = '{"x": 2}\n'
    assert go(chain, "--resume") == 0
    assert "changed while" not in Path("out/sandbox.log").read_text()
    assert reasons(chain) == {}
    Path("plain.jsonl").write_text('{"x": 3}\n')
    assert reasons(chain) == {"sum_other": "output file plain.jsonl has changed"}


def test_an_output_of_an_earlier_job_is_no_output_of_one_that_passes_its_path_on(chain, go, reasons):
    """The later job takes the path as a plain text, and names it among its results; somebody changes it meanwhile."""
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    meddling = {"type": "toy_lab.steps.PlainWriter", "target": "out/data/other.jsonl", "text": '{"x": 2}\n'}
    job["extra_configs"] = meddling
    assert go(chain) == 0
    assert reasons(chain)["other"] == "output file out/data/other.jsonl has changed"


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
    assert "returned 2 result(s), but `output` names 1: a" in capsys.readouterr().err


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


def unfold_config(**values):
    extra_configs = {"type": "unfold_lists", "export_path": "out/unfolded.jsonl", **values}
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "unfold", "extra_configs": extra_configs}
    return {"work_dir": "out", "execution_job_configs": [job]}


def test_a_file_that_a_pattern_matches_is_an_input(go, reasons):
    Path("data").mkdir()
    first, second = Path("data/1.jsonl"), Path("data/2.jsonl")
    first.write_text('{"response": ["a"]}\n')
    config = unfold_config(dataset_path="data/*.jsonl")
    assert go(config) == 0
    time.sleep(0.03)
    assert reasons(config) == {}
    first.write_text('{"response": ["b"]}\n')
    assert reasons(config) == {"unfold": "input file data/*.jsonl has changed"}
    assert go(config, "--resume") == 0
    second.write_text('{"response": ["c"]}\n')
    assert reasons(config) == {"unfold": "input file data/*.jsonl has changed"}
    assert go(config, "--resume") == 0
    os.utime(first, (1, 1))  # touched, not changed
    assert reasons(config) == {}
    first.unlink()
    assert reasons(config) == {"unfold": "input file data/*.jsonl has changed"}
    second.unlink()
    assert reasons(config) == {"unfold": "input file data/*.jsonl is gone"}


def test_an_input_that_was_missing_and_is_there_now(go, reasons):
    row = {"image": "1.jpg", "conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "A cat."}]}
    Path("a.jsonl").write_text(json.dumps(row) + "\n")
    config = unfold_config(
        type="coco_caption_to_dj_conversion",
        dataset_path=["a.jsonl", "b.jsonl"],
        export_path="out/converted",
        skip_missing=True,
    )
    assert go(config) == 0
    assert reasons(config) == {}
    shutil.copy("a.jsonl", "b.jsonl")
    assert reasons(config) == {"unfold": "input file b.jsonl was missing, and exists now"}
    assert go(config, "--resume") == 0
    assert reasons(config) == {}


def test_a_script_that_a_command_names_relative_to_its_folder(go, reasons):
    Path("tool").mkdir()
    Path("tool/score.sh").write_text("""echo '{"loss": 1}'\n""")
    extra_configs = {"type": "command", "argv": ["sh", "score.sh"], "cwd": "tool", "metrics": "jsonl"}
    job = {"hook": "EvaluateModelHook", "meta_name": "score", "extra_configs": extra_configs}
    config = {"work_dir": "out", "evaluation_job_configs": [job]}
    assert go(config) == 0
    assert reasons(config) == {}
    Path("tool/score.sh").write_text("""echo '{"loss": 2}'\n""")
    assert reasons(config) == {"score": "input file tool/score.sh has changed"}
