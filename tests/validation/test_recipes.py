"""What is wrong with a recipe by its text alone is an error of the config, before Data-Juicer is imported."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.errors import ConfigErrors

LENGTH = "text_length_filter"


@pytest.fixture
def problems(config_file):
    """The errors of a config with one recipe; empty if it is valid."""
    config_file('{"text": "a", "answer": "b"}\n', "rows.jsonl")

    def found(*process, **keys):
        recipe = {"dataset_path": "rows.jsonl", "export_path": "out/x.jsonl", "process": list(process), **keys}
        job = {"hook": "ProcessDataHook", "meta_name": "j", "dj_configs": recipe}
        config_file({"work_dir": "out", "execution_job_configs": [job]})
        try:
            Sandbox("sandbox.yaml").validate()
        except ConfigErrors as error:
            return [problem.what for problem in error.problems]
        return []

    return found


def test_two_filters_of_one_stat_on_different_fields(problems):
    what, *rest = problems({LENGTH: {"text_key": "text"}}, {LENGTH: {"text_key": "answer"}})
    assert rest == []
    assert "works on 'answer', but it would reuse the stat `text_len`" in what


def test_a_mapper_between_two_filters_of_one_stat(problems):
    mapper = {"clean_links_mapper": {}}
    what, *rest = problems({LENGTH: None}, mapper, {LENGTH: None})
    assert rest == []
    assert "text_len" in what
    assert "clean_links_mapper" in what


def test_filters_that_may_share_a_stat_or_have_their_own(problems):
    assert problems({LENGTH: {"min_len": 1}}, {LENGTH: {"max_len": 9}}) == []
    assert problems({"clean_links_mapper": {}}, {LENGTH: None}) == []
    assert problems({LENGTH: None}, {"clean_links_mapper": {"text_key": "answer"}}, {LENGTH: None}) == []


@pytest.mark.parametrize("name", ["x", "x.csv", "x.txt", "x.gz", "x.{1}.jsonl", "x.csv.gz"])
def test_exports_that_cannot_be_written(problems, name):
    (what,) = problems({LENGTH: None}, export_path=f"out/{name}")
    assert "`export_path`" in what


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst", "x.json", "x.parquet"])
def test_exports_that_can(problems, name):
    assert problems({LENGTH: None}, export_path=f"out/{name}") == []


def test_a_path_that_is_a_mapping_is_one_error(problems):
    (what,) = problems({LENGTH: None}, dataset_path={"a": "missing.jsonl"})
    assert what.endswith("`dataset_path` cannot be {'a': 'missing.jsonl'}")
