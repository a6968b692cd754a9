"""The Python API: the same files as the command line, and a process that is as it was before."""

from __future__ import annotations

import copy
import doctest
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import yaml
from loguru import logger

import data_juicer_sandbox as dj
from data_juicer_sandbox import api, component_run, results
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.factories import import_class

TOY = "toy_lab.steps."
IN_PROCESS = "toy_lab.in_process."


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def job(name, kind, phase_hook="GeneralDataExecutorHook", **values):
    component = kind if "." in kind else TOY + kind
    return {"hook": phase_hook, "meta_name": name, "output": "v", "extra_configs": {"type": component, **values}}


@pytest.fixture
def config():
    return {
        "work_dir": "out",
        "watchers": ["local"],
        "pipelines": {
            "main": {
                "execution_job_configs": [
                    job("first", "Give", value=[1, 2]),
                    {**job("second", "Give"), "input": {"extra_configs.value": "main.first.v"}},
                ]
            }
        },
    }


@pytest.mark.parametrize("module", [api, component_run, results], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_run(module):
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 2
    assert outcome.failed == 0


def test_a_run_gives_the_same_files_as_the_command_line(config, folder):
    Path("x.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    assert main(["--config", "x.yaml", "--work_dir", "by_command"]) == 0
    run = dj.Sandbox("x.yaml", work_dir=folder / "by_api").run()
    assert run["main.second.v"] == [1, 2]
    assert list(run) == ["main.first.v", "main.second.v"]
    names = [sorted(path.name for path in Path(name).iterdir()) for name in ("by_command", "by_api")]
    assert names[0] == names[1]
    contexts = [json.loads(Path(name, "context_infos.json").read_text()) for name in ("by_command", "by_api")]
    for context in contexts:
        for record in context["iterations"][0]["main"]:
            for key in ("started", "ended", "seconds"):
                record["__job__"].pop(key)
    assert contexts[0] == contexts[1]
    assert run.report.is_file()


def test_a_mapping_is_a_config(config):
    sandbox = dj.Sandbox(config)
    assert sandbox.validate() == []
    plan = sandbox.plan()
    assert [(step.label, step.runs) for step in plan] == [("main.first", True), ("main.second", True)]
    assert str(plan).splitlines()[0] == "2 of 2 jobs would run"
    assert not Path("out").exists()
    assert sandbox.run().ran == ("main.first", "main.second")
    assert len(sandbox.plan(resume=True)) == 2
    assert sandbox.run(resume=True).kept == ("main.first", "main.second")
    config["pipelines"]["main"]["execution_job_configs"][0]["extra_configs"]["value"] = 3
    assert sandbox.run(resume=True).ran == (), "a change of the mapping must not reach a sandbox that was created"
    assert dj.Sandbox(config).run(resume=True).ran == ("main.first", "main.second")


def test_all_errors_at_once(config):
    config["pipelines"]["main"]["execution_job_configs"][0]["hook"] = "NoHook"
    config["max_iter_num"] = "many"
    with pytest.raises(dj.ConfigError) as caught:
        dj.Sandbox(config, no_such_key=1).validate()
    text = str(caught.value)
    assert all(word in text for word in ("NoHook", "'max_iter_num' must be", "no_such_key", "the config")), text
    assert len(caught.value.problems) == 3
    for call in ("plan", "run"):
        with pytest.raises(dj.ConfigErrors):
            getattr(dj.Sandbox(config), call)()
    with pytest.raises(dj.ConfigError, match="no such file"):
        dj.Sandbox("nowhere.yaml")
    assert not Path("out").exists()


def test_a_config_that_contains_itself_is_refused(config):
    config["pipelines"]["main"]["itself"] = config
    with pytest.raises(dj.ConfigError, match="nested more than"):
        dj.Sandbox(config)


def test_a_failed_job_is_raised_and_what_was_finished_can_be_loaded(config):
    config["pipelines"]["main"]["execution_job_configs"].append(job("third", "Hidden", folder="no", stem="x", number=1))
    with pytest.raises(dj.JobFailed, match=r"main\.third"):
        dj.Sandbox(config).run()
    loaded = dj.load_results("out")
    assert list(loaded.jobs["status"]) == ["done", "done", "failed"]
    assert "No such file" in loaded.jobs["error"][2]
    assert loaded["main.first.v"] == [1, 2]
    assert repr(loaded) == "<Results of out: 2 done, 1 failed>"
    assert Path("out/report.html").is_file()


def test_metrics_are_those_of_the_latest_attempt(config):
    curve = job("curve", IN_PROCESS + "Curve", "GeneralProbeHook", values=[3.0, 2.0, 1.0])
    config["pipelines"]["main"] = {"probe_job_configs": [curve]}
    for _ in range(2):
        run = dj.Sandbox(config).run()
    metrics = run.metrics
    assert list(metrics.columns) == ["iteration", "pipeline", "job", "name", "step", "value", "time"]
    steps = metrics[metrics["name"] == "loss"]
    assert list(steps["value"]) == [3.0, 2.0, 1.0]
    assert list(steps["step"]) == [0, 1, 2]
    assert str(metrics["time"].dtype).startswith("datetime64[ns, UTC")
    assert dj.load_results("out").metrics.equals(metrics)


def test_results_of_nothing():
    with pytest.raises(WorkDirError, match="no run has used this folder"):
        dj.load_results("nowhere")
    Path("empty").mkdir()
    with pytest.raises(WorkDirError):
        dj.load_results("empty")


def test_a_search_has_trials(config):
    pytest.importorskip("optuna", reason="pip install -e '.[search]'")
    sweep = {"method": "grid", "metric": {"name": "main.first.v"}, "plots": False}
    sweep["parameters"] = {"main.first.extra_configs.value": {"values": [1, 2]}}
    Path("sweep.yaml").write_text(yaml.safe_dump(sweep))
    config["pipelines"]["main"]["execution_job_configs"] = config["pipelines"]["main"]["execution_job_configs"][:1]
    run = dj.Sandbox(config, hpo_config="sweep.yaml").run()
    assert sorted(run.trials["main.first.v"]) == [1, 2]
    assert dj.load_results("out").trials.equals(run.trials)


def state_of_process():
    """What a run must leave as it was."""
    return {
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "loguru": (logger._core, tuple(logger._core.handlers)),
        "root": (logging.root.level, tuple(logging.root.handlers)),
        "libraries": [
            (name, type(library), library.level, library.propagate, tuple(library.handlers))
            for name in ("transformers", "datasets", "optuna", "ray", "urllib3", "filelock")
            for library in [logging.getLogger(name)]
        ],
        "warnings": warnings.showwarning,
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "streams": (sys.stdout, sys.stderr),
        "threads": {thread.name for thread in threading.enumerate()},
    }


@pytest.mark.parametrize("fails", [False, True])
def test_the_process_is_as_it_was_before(config, fails, capfd):
    logging.getLogger("transformers").addHandler(logging.StreamHandler(sys.stderr))
    logging.getLogger("transformers").propagate = False
    config["pipelines"]["main"]["execution_job_configs"] += [
        job("changes", IN_PROCESS + "ChangeProcess"),
        *([job("fails", "Hidden", folder="no", stem="x", number=1)] if fails else []),
    ]
    before = state_of_process()
    for _ in range(2):
        try:
            dj.Sandbox(config).run()
        except dj.JobFailed:
            assert fails
        assert state_of_process() == before
    with pytest.raises(dj.ConfigError):
        dj.run_component("inline_rows", rows="x")
    assert state_of_process() == before
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_a_view_shows_the_run(config, capsys):
    from data_juicer_sandbox.terminal.plain_view import PlainView

    dj.Sandbox(config).run(view=PlainView(sys.stderr))
    assert "[2/2] main.second done" in capsys.readouterr().err


def test_one_run_at_a_time(config):
    """Log and environment belong to the process; a second run in it is refused, and works when the first has ended."""
    nested = job("nested", IN_PROCESS + "RunSandbox", config=copy.deepcopy(config))
    config["pipelines"]["main"]["execution_job_configs"] = [nested]
    with pytest.raises(dj.JobFailed, match="this process is executing another run"):
        dj.Sandbox(config).run()
    assert dj.Sandbox({"work_dir": "other", "execution_job_configs": [job("a", "Give", value=1)]}).run().ran == (
        "anonymous.a",
    )


def test_components_run_alone():
    rows = [{"text": f"text {number}", "n": number} for number in range(6)]
    assert dj.run_component("inline_rows", rows=rows, export_path=Path("rows.jsonl")) == "rows.jsonl"
    sampled = dj.run_component(
        "data_pool_downsampling", dataset_path=Path("rows.jsonl"), target_num_samples=2, export_path="sampled"
    )
    assert [len(Path(path).read_text().splitlines()) for path in as_list(sampled)] == [2]
    assert dj.run_component(TOY + "Give", value=(1, 2)) == [1, 2]
    assert dj.run_component(import_class(TOY + "Give"), value=3) == 3


@pytest.mark.parametrize(
    ("component", "values", "message"),
    [
        ("inline_row", {}, "did you mean 'inline_rows'"),
        ("huggingface", {}, "set `factory` to one of ModelInferEvaluatorFactory, ModelTrainExecutorFactory"),
        ("huggingface", {"factory": "ModelTrain"}, "unknown factory"),
        ("inline_rows", {"rows": "x", "export_path": 3}, "'rows'.*'export_path'"),
        ("inline_rows", {"rows": ["x"], "key": "text"}, "'export_path' is missing"),
        (dict, {}, "dict is not a component"),
    ],
)
def test_wrong_components_and_values(component, values, message):
    with pytest.raises(dj.ConfigError, match=message):
        dj.run_component(component, **values)


def test_a_component_alone_destroys_nothing():
    Path("rows.jsonl").write_text("the user's own")
    for text in ("one", "two"):
        dj.run_component("inline_rows", rows=[text], key="text", export_path="rows.jsonl")
    kept = [path.read_text() for path in Path().glob("previous_rows.jsonl_*")]
    assert (kept, Path("rows.jsonl").read_text()) == (["the user's own"], '{"text": "two"}\n')
    with pytest.raises(dj.JobError, match="is an input of the job"):
        dj.run_component("unfold_lists", dataset_path="rows.jsonl", export_path="rows.jsonl", list_key="text")
    assert Path("rows.jsonl").read_text() == '{"text": "two"}\n'


def test_the_data_set_of_a_recipe_is_an_input():
    Path("rows.jsonl").write_text('{"text": "a text"}\n')
    recipe = {"dataset_path": "rows.jsonl", "export_path": "rows.jsonl", "process": [{"text_length_filter": {}}]}
    with pytest.raises(dj.JobError, match="is an input of the job"):
        dj.run_component("data_juicer", factory="DataExecutorFactory", dj_configs=recipe)
    assert [path.name for path in Path().glob("*.jsonl")] == ["rows.jsonl"]


def test_a_temporary_folder_stays_only_for_results_in_it(monkeypatch, folder):
    monkeypatch.setenv("TMPDIR", str(folder))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    dj.run_component(TOY + "Give", value=1)
    assert list(folder.glob("dj_sandbox_*")) == []
    for as_path in (False, True):
        path = dj.run_component(IN_PROCESS + "WriteInFolder", name="model.txt", as_path=as_path)
        assert isinstance(path, Path) is as_path
        assert Path(path).read_text() == "model"


def test_errors_can_be_pickled(config):
    """Engines such as Ray and multiprocessing send them between processes."""
    with pytest.raises(dj.ConfigErrors) as caught:
        dj.Sandbox({"work_dir": 3}).validate()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)


def test_the_package_is_light_and_complete():
    code = """
import sys
import data_juicer_sandbox as dj
light = {"numpy", "pandas", "yaml", "jsonargparse", "data_juicer", "torch", "loguru"} & set(sys.modules)
assert not light, light
assert set(dj.__all__) <= set(dir(dj))
for name in dj.__all__:
    getattr(dj, name)
heavy = {"torch", "data_juicer", "ray", "transformers", "optuna", "datasets"} & set(sys.modules)
assert not heavy, heavy
try:
    dj.nothing
except AttributeError as error:
    assert "has no attribute 'nothing'" in str(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (Path(dj.__file__).parent / "py.typed").is_file()


@pytest.mark.slow
def test_a_type_checker_knows_what_a_run_returns(folder):
    """An editor completes `dj.Sandbox(...).run().ran`: no value on the way is of an unknown type."""
    pytest.importorskip("mypy")
    script = folder / "script.py"
    script.write_text(
        "import data_juicer_sandbox as dj\n"
        'sandbox = dj.Sandbox("x.yaml")\n'
        "reveal_type(sandbox.run())\n"
        "reveal_type(sandbox.run().ran)\n"
        "reveal_type(sandbox.plan().steps)\n"
    )
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "mypy", "--config-file", str(root / "pyproject.toml"), str(script)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    revealed = [line.rpartition("Revealed type is ")[2] for line in done.stdout.splitlines() if "Revealed" in line]
    assert revealed == [
        '"data_juicer_sandbox.results.Results"',
        '"tuple[str, ...]"',
        '"tuple[data_juicer_sandbox.engine.planner.Step, ...]"',
    ], done.stdout + done.stderr
