"""`--set`, positional configs, variables of the user and of the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.errors import ConfigErrors

ROWS = {"type": "inline_rows", "rows": ["a", "b"], "key": "text", "export_path": "out/rows.jsonl"}
JOB = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "output": "path", "extra_configs": ROWS}


@pytest.fixture
def config(config_file):
    def write(**changes):
        return str(config_file({"work_dir": "out", "execution_job_configs": [JOB], **changes}))

    return write


def rows(path="out/rows.jsonl"):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def errors(*arguments, capsys):
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["pipelines.anonymous.rows.extra_configs.rows", "anonymous.rows.extra_configs.rows", "rows.extra_configs.rows"],
)
def test_a_value_of_a_job_is_set_by_each_form_of_its_name(config, name):
    assert main([config(), "--set", f"{name}=[c, d]", "--set", "rows.extra_configs.key=word"]) == 0
    assert rows() == [{"word": "c"}, {"word": "d"}]


def test_every_command_takes_the_config_by_position(config, capsys):
    path = config()
    assert main(["validate", path]) == 0
    assert main(["plan", path]) == 0
    assert main([path]) == 0
    assert main(["run", path, "--resume", "true"]) == 0
    assert main(["report", "out"]) == 0
    assert main(["report", path]) == 0
    assert main(["compare", "out", "out"]) == 0
    assert "two configs are named" in errors("validate", path, "--config", "other.yaml", capsys=capsys)


def test_values_have_the_types_of_yaml_and_top_level_keys_can_be_set(config):
    sandbox = Sandbox(config(), set={"rows.extra_configs.rows": ["x"], "experiment_name": "e", "vars.size": 3})
    assert sandbox.config.experiment_name == "e"
    assert sandbox.config.variables["vars.size"] == 3
    assert sandbox.run()["anonymous.rows.path"] == "out/rows.jsonl"
    assert rows() == [{"text": "x"}]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("rows.extra_configs.kye=1", "--set anonymous.rows.extra_configs.kye: "),
        ("rows.extra_configs.kye=1", "did you mean 'key'"),
        ("row.extra_configs.key=text", "did you mean"),
        ("rows.extra_configs.rows=7", "expected"),
        ("max_iter=3", "--set max_iter: unknown key 'max_iter' (did you mean 'max_iter_num'?"),
        ("max_iter_num=x", "--set max_iter_num: 'max_iter_num' must be a whole number"),
        ("resume.x=1", "the key 'resume' has no parts"),
        ("pipelines=1", "does not name a value of a job"),
        ("execution_job_configs.0.hook=x", "does not name a value of a job"),
        ("x", "'x' is not KEY=VALUE"),
        ("=x", "is not KEY=VALUE"),
        ("vars.x=[1", "--set vars.x"),
        ("vars.resume=1", "has the name of a top-level key"),
    ],
)
def test_an_assignment_that_sets_nothing_is_an_error(config, assignment, message, capsys):
    text = errors("validate", config(), "--set", assignment, capsys=capsys)
    assert message in text
    assert "Traceback" not in text


def test_the_command_that_resumes_repeats_the_assignments(config, capsys):
    job = {**JOB, "extra_configs": {**ROWS, "rows": "<later>"}, "input": {"extra_configs.rows": "-1.path"}}
    path = config(execution_job_configs=[JOB, {**job, "meta_name": "broken"}])
    assert main([path, "--set", "vars.api_key=sk-secret-123456", "--set", "rows.extra_configs.key=it's"]) == 1
    shown = capsys.readouterr().err
    assert """--set 'rows.extra_configs.key="it'"'"'s"'""" in shown
    assert "sk-secret" not in shown


def test_variables_keep_their_type_and_stand_within_texts(config):
    content = {"names": ["a", "b"], "key": "word", "size": 2, "file": "${vars.key}s-${size}.jsonl"}
    job = {**ROWS, "rows": "${vars.names}", "key": "${key}", "export_path": "out/${vars.file}"}
    Sandbox(config(vars=content, execution_job_configs=[{**JOB, "extra_configs": job}])).run()
    assert rows("out/words-2.jsonl") == [{"word": "a"}, {"word": "b"}]


def test_variables_of_the_environment(config, monkeypatch):
    monkeypatch.setenv("MY_KEY", "word")
    monkeypatch.setenv("EMPTY", "")
    job = {**ROWS, "key": "${env:MY_KEY}", "rows": ["${env:EMPTY:-none}", "${env:MISSING:-}", "$${env:X}"]}
    Sandbox(config(execution_job_configs=[{**JOB, "extra_configs": job}])).run()
    assert rows() == [{"word": "none"}, {"word": ""}, {"word": "${env:X}"}]
    assert "${env:MY_KEY}" in Path("out/config.json").read_text()


def test_a_missing_variable_is_an_error_with_its_line(config_file):
    text = "work_dir: out\nexecution_job_configs:\n  - hook: GeneralDataExecutorHook\n    extra_configs:\n"
    text += "      type: inline_rows\n      rows: [a]\n      key: ${env:NOT_SET}\n      export_path: ${vars.x}.jsonl\n"
    with pytest.raises(ConfigErrors) as raised:
        Sandbox(str(config_file(text))).validate()
    first, second = (str(problem) for problem in raised.value.problems if "variable" in str(problem))
    assert "sandbox.yaml:7: the environment variable NOT_SET is not set" in first
    assert "${env:NOT_SET:-default}" in first
    assert "sandbox.yaml:8: unknown variable ${vars.x}" in second


def test_a_list_within_a_text_is_an_error(config, capsys):
    job = {**ROWS, "export_path": "out/${vars.names}.jsonl"}
    path = config(vars={"names": ["a"]}, execution_job_configs=[{**JOB, "extra_configs": job}])
    assert "${vars.names} is a list, which a text cannot contain" in errors("validate", path, capsys=capsys)


def test_a_secret_of_the_environment_is_masked_wherever_it_is_stored(config, monkeypatch, tmp_path):
    secret = "hunter2-and-more"
    monkeypatch.setenv("LAB_PASSWORD", secret)
    monkeypatch.setenv("LAB_LOGIN", "login-of-the-lab")
    job = {**ROWS, "rows": [{"api_key": "${env:LAB_LOGIN}"}, {"x": "${env:LAB_PASSWORD}"}], "key": None}
    Sandbox(config(execution_job_configs=[{**JOB, "extra_configs": job}])).run()
    stored = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix not in (".pkl",)]
    texts = {path.name: path.read_text() for path in stored if path.name != "rows.jsonl"}
    assert {"metrics.jsonl", "config.json", "sandbox.log"} <= set(texts)
    assert [name for name, text in texts.items() if secret in text or "login-of-the-lab" in text] == []


def test_the_folder_of_the_config(config_file, tmp_path, monkeypatch, capsys):
    (tmp_path / "other").mkdir()
    job = {**JOB, "extra_configs": {**ROWS, "export_path": "${config_dir}/rows.jsonl"}}
    path = config_file({"work_dir": "${config_dir}/w", "execution_job_configs": [job]}, "lab/x.yaml")
    monkeypatch.chdir(tmp_path / "other")
    assert main(["--config", str(path), "--print_config"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["vars"] == {"config_dir": str(tmp_path / "lab")}
    (tmp_path / "other/copy.yaml").write_text(printed)
    assert main(["copy.yaml"]) == 0
    assert rows(tmp_path / "lab/rows.jsonl") == [{"text": "a"}, {"text": "b"}]
    assert (tmp_path / "lab/w/metrics.jsonl").is_file()


def test_a_misspelt_variable_of_the_program_is_named(config, monkeypatch, capsys):
    monkeypatch.setenv("DJ_SANDBOX_WORKDIR", "x")
    assert main(["validate", config()]) == 0
    expected = "the environment variable DJ_SANDBOX_WORKDIR is unknown and ignored (did you mean 'DJ_SANDBOX_WORK_DIR'?"
    assert expected in capsys.readouterr().err
