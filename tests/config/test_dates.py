"""An unquoted date in YAML is a text, as it is in JSON, in rows and on the command line."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
import yaml

import data_juicer_sandbox as dj
from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.errors import ConfigError

DATES = ("2024-05-06", "2024-5-6T07:08:09Z", "2024-05-06 07:08:09.5 +02:00")
CONFIG = """
work_dir: out
project_name: 2024-05-06
watchers: [local]
vars: {day: 2024-05-07}
execution_job_configs:
- hook: GeneralDataExecutorHook
  meta_name: 2024-05-08
  output: path
  extra_configs: {type: inline_rows, rows: [{when: 2024-05-06, 2024-05-09: [2024-05-06T07:08:09Z]}, {when: "${day}"}],
                  export_path: out/rows.jsonl}
- hook: ProcessDataHook
  meta_name: keep
  output: kept
  dj_configs:
    dataset_path: out/rows.jsonl
    export_path: out/kept.jsonl
    text_keys: when
    process: [{specified_field_filter: {field_key: when, target_value: [2024-05-06]}}]
"""


@pytest.mark.parametrize("text", DATES)
def test_a_date_is_the_text_that_was_written(text):
    assert parse(f"x: {text}\n{text}: 1\n" if ": " not in text else f"x: {text}\n", "f").value["x"] == text
    assert parse(f"!!timestamp {text}", "f").value == text


@pytest.mark.parametrize("text", ["2024-13-06", "2024-02-30"])
def test_a_date_that_does_not_exist_is_an_error_with_its_line(text):
    with pytest.raises(ConfigError, match=rf"f:2: not valid YAML: '{text}' cannot be read as a value"):
        parse(f"a: 1\nb: {text}\n", "f")


def test_dates_in_rows_names_variables_and_recipes(config_file):
    results = dj.Sandbox(str(config_file(CONFIG))).run()
    rows = [json.loads(line) for line in Path("out/rows.jsonl").read_text().splitlines()]
    assert rows == [{"when": "2024-05-06", "2024-05-09": ["2024-05-06T07:08:09Z"]}, {"when": "2024-05-07"}]
    assert Path(results["anonymous.keep.kept"]).read_text() == Path("out/rows.jsonl").read_text().splitlines()[0] + "\n"
    assert results["anonymous.2024-05-08.path"] == "out/rows.jsonl"


def test_dates_as_values_of_a_search(config_file):
    pytest.importorskip("optuna", reason="pip install -e '.[search]'")
    rows = {"type": "inline_rows", "rows": ["a"], "key": "x", "export_path": "out/rows.jsonl"}
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "output": "path", "extra_configs": rows}
    config_file(
        "method: grid\nmetric: {name: rows.rows}\n"
        "parameters: {p.rows.extra_configs.key: {values: [2024-05-06, 2024-05-07]}}\n",
        "sweep.yaml",
    )
    config = config_file(
        {
            "work_dir": "out",
            "watchers": ["local"],
            "hpo_config": "sweep.yaml",
            "pipelines": {"p": {"execution_job_configs": [job]}},
        }
    )
    dj.Sandbox(str(config)).run()
    found = {json.loads(path.read_text()).popitem() for path in Path("out/trials").glob("*/rows.jsonl")}
    assert found == {("2024-05-06", "a"), ("2024-05-07", "a")}
    best = yaml.load(Path("out/best.yaml").read_text(), yaml.SafeLoader)  # quoted: a text for every reader
    assert best["parameters"]["p.rows.extra_configs.key"] in ("2024-05-06", "2024-05-07")


def test_dates_of_python_are_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {
        "type": "inline_rows",
        "rows": [datetime.date(2024, 5, 6), datetime.datetime(2024, 5, 6, 7, 8)],
        "key": "when",
        "export_path": "rows.jsonl",
    }
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "extra_configs": rows}
    dj.Sandbox({"execution_job_configs": [job]}, work_dir="out", watchers=["local"]).run()
    assert [json.loads(line)["when"] for line in Path("rows.jsonl").read_text().splitlines()] == [
        "2024-05-06",
        "2024-05-06T07:08:00",
    ]
