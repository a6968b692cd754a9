"""A change of the user's own code makes the jobs that run it run again, and no others."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

COMPONENT = """
from data_juicer_sandbox.components.base import Component, InputPath, JobRun
from rcode_base import Counting

class Count(Counting, Component):
    '''Count rows.

    Args:
        dataset_path: the rows.
        score: a function.
    '''

    outputs = ("n",)

    def __init__(self, dataset_path: InputPath, score: str = ""):
        self.dataset_path = dataset_path

    def run(self, job: JobRun) -> int:
        return self.count(self.dataset_path)
"""
BASE = "class Counting:\n    def count(self, path):\n        return sum(1 for _ in open(path))\n"
HOOK = "from data_juicer_sandbox.hooks.builtin import EvaluateDataHook\nclass Mine(EvaluateDataHook):\n    pass\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module, which is imported anew then, as by a new process."""
    folder = tmp_path / "lib"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def call(name, text):
        (folder / f"{name}.py").write_text(text)
        forget()
        return folder / f"{name}.py"

    def forget():
        for name in [name for name in sys.modules if name.startswith("rcode_")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    yield call
    forget()


@pytest.fixture
def counting(chain, write):
    """The chain with a job of the user's own component."""
    write("rcode_base", BASE)
    write("rcode_count", COMPONENT)
    write("rcode_score", "def score(row):\n    return 1\n")
    job = chain["pipelines"]["use"]["evaluation_job_configs"][1]
    job["extra_configs"] = {"type": "rcode_count.Count", "dataset_path": "out/data/other.jsonl"}
    return chain


@pytest.mark.parametrize("name", ["rcode_count", "rcode_base"])
def test_changed_code_of_a_component_or_its_base_makes_its_job_run_again(counting, go, reasons, attempts, write, name):
    assert go(counting) == 0
    assert reasons(counting) == {}
    file = write(name, {"rcode_count": COMPONENT, "rcode_base": BASE}[name] + "# changed\n")
    assert reasons(counting) == {"sum_other": f"code of {name} ({file}) has changed"}
    assert go(counting, "--resume") == 0
    assert attempts()["sum_other"] == 2
    assert set(attempts().values()) == {1, 2}
    assert reasons(counting) == {}


def test_changed_code_of_a_function_named_in_a_config(counting, go, reasons, write):
    counting["pipelines"]["use"]["evaluation_job_configs"][1]["extra_configs"]["score"] = "rcode_score.score"
    assert go(counting) == 0
    assert reasons(counting) == {}
    file = write("rcode_score", "def score(row):\n    return 2\n")
    assert reasons(counting) == {"sum_other": f"code of rcode_score ({file}) has changed"}


def test_changed_code_of_a_hook(counting, go, reasons, write):
    write("rcode_hook", HOOK)
    counting["pipelines"]["use"]["evaluation_job_configs"][1]["hook"] = "rcode_hook.Mine"
    assert go(counting) == 0
    assert reasons(counting) == {}
    file = write("rcode_hook", HOOK + "# changed\n")
    assert reasons(counting) == {"sum_other": f"code of rcode_hook ({file}) has changed"}


def test_a_component_that_an_input_names(counting, go, reasons, write):
    """Its type is known only when its job is resolved."""
    give = {"type": "toy_lab.steps.Give", "value": "rcode_count.Count"}
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "choose", "output": "type", "extra_configs": give}
    counting["pipelines"]["use"]["execution_job_configs"].append(job)
    last = counting["pipelines"]["use"]["evaluation_job_configs"][1]
    del last["extra_configs"]["type"]
    last["input"] = {"extra_configs.type": "choose.type"}
    assert go(counting) == 0
    assert reasons(counting) == {}
    file = write("rcode_base", BASE + "# changed\n")
    assert reasons(counting) == {"sum_other": f"code of rcode_base ({file}) has changed"}


def test_code_that_is_copied_to_another_folder_is_no_change(counting, go, reasons, write, tmp_path, monkeypatch):
    assert go(counting) == 0
    other = tmp_path / "elsewhere"
    (tmp_path / "lib").rename(other)
    monkeypatch.syspath_prepend(str(other))
    for name in [name for name in sys.modules if name.startswith("rcode_")]:
        del sys.modules[name]
    assert reasons(counting) == {}


def test_a_record_of_an_earlier_version_knows_no_code_and_is_kept(counting, go, reasons, write):
    from data_juicer_sandbox.context.checkpoint import Checkpoint

    assert go(counting) == 0
    checkpoint = Checkpoint(Path("out"))
    context = checkpoint.read()
    for _, record in context.records():
        record.provenance = replace(record.provenance, trace=replace(record.provenance.trace, code=None))
    checkpoint.write(context)
    write("rcode_count", COMPONENT + "# changed\n")
    assert reasons(counting) == {}


def test_code_that_is_edited_while_the_run_goes_on_is_noticed_by_the_next_run(counting, go, reasons, write, tmp_path):
    """What was imported for the plan is what runs, so its digest is that of the plan."""
    file = tmp_path / "lib/rcode_count.py"
    meddling = {"type": "toy_lab.steps.Overwrite", "path": str(file), "text": COMPONENT + "# changed\n"}
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "meddle", "extra_configs": meddling}
    counting["pipelines"]["use"]["execution_job_configs"].append(job)
    assert go(counting) == 0
    for name in [name for name in sys.modules if name.startswith("rcode_")]:
        del sys.modules[name]
    assert reasons(counting)["sum_other"] == f"code of rcode_count ({file}) has changed"


def test_the_files_in_a_folder_of_custom_operators_are_inputs(config_file):
    from data_juicer_sandbox.config.loader import load_or_raise
    from data_juicer_sandbox.validation import validated_jobs
    from data_juicer_sandbox.workflow.fingerprints import input_paths
    from data_juicer_sandbox.workflow.resolve import resolve

    recipe = {
        "dataset_path": "rows.jsonl",
        "export_path": "out/clean.jsonl",
        "custom_operator_paths": ["ops"],
        "process": [{"my_mapper": {}}],
    }
    job = {"hook": "ProcessDataHook", "meta_name": "clean", "dj_configs": recipe}
    path = config_file({"work_dir": "out", "execution_job_configs": [job]})
    Path("rows.jsonl").write_text('{"text": "a"}\n')
    Path("ops/__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "my_mapper.py", "__pycache__/my_mapper.pyc"):
        Path("ops", name).write_text("")
    (planned_job,), _ = validated_jobs(load_or_raise(str(path), {}))
    inputs = input_paths(planned_job, resolve(planned_job.job, [], {}))
    assert inputs == ["ops/__init__.py", "ops/my_mapper.py", "rows.jsonl"]


def test_what_a_job_reads_is_in_the_checkpoint_as_plain_values(counting, go):
    assert go(counting) == 0
    from data_juicer_sandbox.context.checkpoint import Checkpoint

    found = {record.meta_name: record.provenance.trace.code for _, record in Checkpoint(Path("out")).read().records()}
    assert sorted(found["sum_other"]) == ["rcode_base", "rcode_count"]
    assert list(found["scale"]) == ["toy_lab.steps"]
    json.dumps(found)
