"""`cache_dir`: finished jobs that several work directories share."""

from __future__ import annotations

import copy
import json
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.context.checkpoint import Checkpoint

ALL = ("make.rows", "make.other", "use.scale", "use.sum_scaled", "use.sum_other")


def moved(config, work_dir):
    """A config with another work directory."""
    return json.loads(json.dumps({**config, "cache_dir": "cache"}).replace("out/", f"{work_dir}/")) | {
        "work_dir": work_dir
    }


@pytest.fixture
def run(chain, tmp_path, monkeypatch):
    """Run the chain in a work directory, with `cache_dir`."""
    monkeypatch.chdir(tmp_path)

    def call(work_dir, config=chain, **arguments):
        return Sandbox(moved(config, work_dir)).run(**arguments)

    return call


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def entries():
    return list(Path("cache").glob("??/*"))


def files_of(label):
    """The folder of the files in the entry of a job."""
    for entry in entries():
        text = json.loads((entry / "context_infos.json").read_text())
        (records,) = text["iterations"][0].values()
        if records[0]["meta_name"] == label:
            return entry
    raise LookupError(label)


def test_a_second_work_dir_runs_nothing_and_has_the_same_files_context_and_metrics(run):
    first, second = run("one"), run("two")
    assert first.ran == ALL
    assert second.ran == ()
    assert second.kept == ALL
    assert contents("one/data") == contents("two/data")
    assert len(contents("one/data")) == 3
    for key in first:
        assert json.dumps(second[key]) == json.dumps(first[key]).replace("one/", "two/"), key
    columns = ["pipeline", "job", "name", "value"]
    assert second.metrics[columns].equals(first.metrics[columns])
    assert len(second.metrics) > 0
    assert "from the cache" in Path("two/sandbox.log").read_text()
    assert run("two", resume=True).kept == ALL


def test_the_plan_tells_what_would_come_from_the_cache(run, chain):
    run("one")
    shutil.rmtree("one")
    plan = Sandbox(moved(chain, "two")).plan()
    assert [step.cached for step in plan] == [True] * 5
    assert plan.table.title == "0 of 5 jobs would run, 5 come from the cache"
    assert [row[0] for row in plan.table.rows] == ["cache"] * 5
    assert not Path("two").exists()
    chain["pipelines"]["make"]["execution_job_configs"][0]["extra_configs"]["rows"] = 31
    plan = Sandbox(moved(chain, "two")).plan()
    assert [step.cached for step in plan] == [False, True, False, False, True]
    assert set(run("two", chain).ran) == {step.label for step in plan if not step.cached}


def test_a_changed_input_runs(run, chain, tmp_path):
    source = tmp_path / "given.jsonl"
    source.write_text('{"x": 1}\n')
    chain["pipelines"]["use"]["evaluation_job_configs"][1]["extra_configs"]["dataset_path"] = str(source)
    run("one", chain)
    source.write_text('{"x": 2}\n')
    results = run("two", chain)
    assert results.ran == ("use.sum_other",)
    assert results["use.sum_other.res_1"] == {"given": 2}


def test_changed_code_of_the_user_runs(run, chain, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    code = "from data_juicer_sandbox.components.base import Component\nclass Give(Component):\n"
    code += "    def __init__(self): pass\n    def run(self, job): return "
    (tmp_path / "first_version.py").write_text(code + "1\n")
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    job["extra_configs"] = {"type": "first_version.Give"}
    assert run("one", chain)["use.sum_other.res_1"] == 1
    assert run("two", chain).ran == ()
    (tmp_path / "first_version.py").write_text(code + "2\n")
    job["extra_configs"] = {"type": "first_version.Give"}
    import sys

    sys.modules.pop("first_version")
    assert run("three", chain).ran == ("use.sum_other",)


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "record", "link"])
def test_a_damaged_entry_is_ignored_with_a_warning_and_replaced(run, damage):
    run("one")
    entry = files_of("rows")
    file = entry / "files" / "0"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "changed":
        file.write_bytes(file.read_bytes().replace(b"0.", b"1.", 1))
    elif damage == "missing":
        file.unlink()
    elif damage == "record":
        (entry / "context_infos.pkl").write_bytes(b"half")
    else:
        file.rename(entry / "moved")
        file.symlink_to(entry / "moved")
    assert run("two").ran == ("make.rows",)
    assert f"the entry {entry} of the cache is damaged and ignored" in Path("two/sandbox.log").read_text()
    assert contents("one/data") == contents("two/data")
    assert run("three").ran == ()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("path", "../outside.jsonl"),
        ("path", "{parent}/outside.jsonl"),
        ("path", "\0work_dir plain\0/../../outside.jsonl"),
        ("path", "outside.jsonl"),
        ("name", "../../outside.jsonl"),
        ("name", "{parent}/outside.jsonl"),
    ],
)
def test_an_entry_writes_only_where_the_job_may(run, tmp_path, key, text):
    run("one")
    entry = files_of("rows")
    checkpoint = Checkpoint(entry)
    context = checkpoint.read()
    ((_, record),) = context.records()
    (item,) = record.outputs["entry"]["items"]
    (item if key == "path" else item["files"][0])[key] = text.format(parent=tmp_path.parent)
    checkpoint.write(context)
    assert run("two").ran == ("make.rows",)
    assert "is not an output that its config names" in Path("two/sandbox.log").read_text()
    assert not list(tmp_path.parent.rglob("outside.jsonl"))


def test_entries_are_private_copies(run):
    run("one")
    assert len(entries()) == 5
    for path in [Path("cache"), *Path("cache").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert not path.is_symlink()
    run("two")
    for path in Path("two/data").iterdir():
        assert path.stat().st_nlink == 1
        path.write_text("{}\n")
    assert run("three").ran == ()
    assert contents("one/data") == contents("three/data")


def test_a_forced_job_is_not_taken_from_the_cache(run):
    run("one")
    run("two")
    assert run("two", force="rows").ran == ("make.rows",)
    assert run("three").ran == ()


def test_a_program_is_not_cached(run, chain):
    jobs = chain["pipelines"]["use"]["evaluation_job_configs"]
    jobs[1] = {
        "hook": "EvaluateModelHook",
        "meta_name": "program",
        "extra_configs": {"type": "command", "argv": ["echo", '{"x": 1}'], "metrics": "jsonl"},
    }
    run("one", chain)
    assert run("two", chain).ran == ("use.program",)


def test_a_job_that_reads_metrics_of_another_is_not_cached(run, chain, tmp_path, monkeypatch):
    code = "from data_juicer_sandbox.components.base import Component\nclass Query(Component):\n"
    code += "    def __init__(self): pass\n    def run(self, job): return job.watcher.query('sum_scaled')\n"
    (tmp_path / "metrics_reader.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    job["extra_configs"] = {"type": "metrics_reader.Query"}
    first = run("one", chain)
    assert first["use.sum_other.res_1.scaled"] > 0
    assert "not put into the cache: it reads metrics of another job" in Path("one/sandbox.log").read_text()
    second = run("two", chain)
    assert second.ran == ("use.sum_other",)
    assert second["use.sum_other.res_1"] == first["use.sum_other.res_1"], "the metrics of a cached job can be read"


NOTE = """
import json, pathlib
from data_juicer_sandbox.components.base import Component, InputPath, OutputPath
class Note(Component):
    def __init__(self, dataset_path: InputPath, export_path: OutputPath, also: str = ""):
        self.dataset_path, self.export_path, self.also = dataset_path, export_path, also
    def run(self, job):
        absolute = str(pathlib.Path(self.dataset_path).absolute())
        paths = [self.dataset_path, "./" + self.dataset_path, absolute, "file://" + absolute, "in/" + self.dataset_path]
        pathlib.Path(self.export_path).write_text(json.dumps([*paths, self.also]))
        return {"source": self.dataset_path, "at": [self.export_path]}
"""


@pytest.fixture
def note(chain, tmp_path, monkeypatch):
    """A job that writes the path of its input into its output."""
    (tmp_path / "note_writer.py").write_text(NOTE)
    monkeypatch.syspath_prepend(tmp_path)
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    paths = {"dataset_path": "out/data/other.jsonl", "export_path": "out/data/note.json"}
    job["extra_configs"] = {"type": "note_writer.Note", **paths}
    return job["extra_configs"]


def test_a_file_that_names_the_work_dir_names_the_new_one(run, chain, note, tmp_path):
    run("one", chain)
    results = run("two", chain)
    assert results.ran == ()
    path = "two/data/other.jsonl"
    absolute = f"{tmp_path}/{path}"
    expected = [path, f"./{path}", absolute, f"file://{absolute}", "in/one/data/other.jsonl", ""]
    assert json.loads(Path("two/data/note.json").read_text()) == expected
    assert results["use.sum_other.res_1"] == {"source": path, "at": ["two/data/note.json"]}


def test_a_file_that_names_a_path_that_is_yet_to_be_is_not_cached(run, chain, note):
    note["also"] = f"{Path.cwd()}/one/later.jsonl"
    run("one", chain)
    assert "note.json names" in Path("one/sandbox.log").read_text()
    assert run("two", chain).ran == ("use.sum_other",)


def test_two_runs_at_once(chain, tmp_path, monkeypatch, dj_sandbox, config_file):
    for work_dir in ("one", "two"):
        config_file(moved(chain, work_dir), f"{work_dir}.yaml")
    codes = []
    threads = [
        threading.Thread(target=lambda name=name: codes.append(dj_sandbox(f"{name}.yaml").returncode))
        for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    assert contents("one/data") == contents("two/data")
    assert Sandbox(moved(chain, "three")).run().ran == ()
    assert not list(Path("cache").glob("tmp-*"))


KILLED = """
import os, sys
from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.engine import cache_entry
calls, at = 0, int(sys.argv[1])
def die(function):
    def call(*arguments):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), 9)
        return function(*arguments)
    return call
cache_entry.copy = die(cache_entry.copy)
cache_entry.CachedJob._rename = die(cache_entry.CachedJob._rename)
Sandbox("one.yaml").run()
"""


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_kill_while_an_entry_is_made_leaves_no_half_entry(chain, config_file, support_path, at, monkeypatch):
    import subprocess
    import sys

    from data_juicer_sandbox.engine import cache_entry

    config_file(moved(chain, "one"), "one.yaml")
    environment = {**os.environ, "PYTHONPATH": support_path}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(at)], env=environment, check=False)
    assert ended.returncode == -9
    assert len(entries()) == (at - 1) // 2
    assert len(list(Path("cache").glob("tmp-*"))) == 1
    monkeypatch.setattr(cache_entry, "_STALE", -1.0)
    results = Sandbox(moved(chain, "two")).run()
    assert results.kept == ALL[: (at - 1) // 2]
    assert not list(Path("cache").glob("tmp-*"))
    assert Sandbox(moved(chain, "three")).run().ran == ()


def test_a_cache_that_cannot_be_written_fails_no_run(run, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert run("one").ran == ALL
    assert "could not be put into the cache" in Path("one/sandbox.log").read_text()


def test_the_key_of_the_config_is_checked(config_file, capsys):
    config_file({"cache_dir": "~/cache", "pipelines": {}})
    assert main(["validate", "sandbox.yaml"]) == 2
    assert "'cache_dir' cannot name a file or folder" in capsys.readouterr().err
    config_file({"cache_dir": 3, "pipelines": {}})
    assert main(["validate", "sandbox.yaml"]) == 2


def test_a_job_that_reads_a_file_with_paths_comes_from_the_cache_too(run, chain, note):
    note_job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    chain["pipelines"]["use"]["evaluation_job_configs"].append({**note_job, "meta_name": "reader"})
    chain["pipelines"]["use"]["evaluation_job_configs"][-1]["extra_configs"] = {
        "type": "note_writer.Note",
        "dataset_path": "out/data/note.json",
        "export_path": "out/data/copy.json",
    }
    run("one", chain)
    plan = Sandbox(moved(chain, "two")).plan()
    assert [step.cached for step in plan] == [True] * 6
    assert run("two", chain).ran == ()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_jobs_of_trials_come_from_the_cache(chain, config_file, n_jobs, monkeypatch, support_path):
    monkeypatch.setenv("PYTHONPATH", support_path)
    sweep = {"method": "grid", "metric": {"name": "sum_other.other", "goal": "maximize"}, "n_jobs": n_jobs}
    sweep["parameters"] = {"make.other.extra_configs.seed": {"values": [1, 2]}}
    config_file(sweep, "sweep.yaml")
    tables = []
    for work_dir in ("one", "two"):
        results = Sandbox({**moved(chain, work_dir), "hpo_config": "sweep.yaml"}).run()
        tables.append(results.trials[["number", "state", "sum_other.other"]])
    assert results.ran == ()
    assert set(tables[0]["state"]) == {"complete"}
    assert tables[0].equals(tables[1])


def test_iterations_are_cached_each(run, chain):
    config = {**copy.deepcopy(chain), "max_iter_num": 2}
    first = run("one", config)
    assert len(first.ran) == 10
    second = run("two", config)
    assert second.ran == ()
    assert contents("one/iter_2") == contents("two/iter_2")
    assert contents("one/iter_2")
