"""The definition of a search: what it contains, how long it gets, how differences are named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("optuna", reason="pip install 'data-juicer-sandbox[search]'")

from data_juicer_sandbox.config.loader import load_or_raise
from data_juicer_sandbox.search.definition import definition_of, differences
from data_juicer_sandbox.validation import validated_jobs


def definition(config_file, lab, sweep):
    config_file(sweep, "sweep.yaml")
    config = load_or_raise(str(config_file(lab)))
    return definition_of(config, config.sweep, validated_jobs(config)[0])


def test_a_secret_is_not_in_it(lab, sweep, config_file):
    rows = lab["pipelines"]["make"]["execution_job_configs"][0]
    rows["extra_configs"] = {"type": "toy_lab.steps.Give", "value": {"api_key": "sk-verysecret123456"}}
    assert "verysecret" not in json.dumps(definition(config_file, lab, sweep))


@pytest.mark.parametrize("count", [10, 800, 5_000])
def test_it_is_never_long_and_a_change_is_always_seen(lab, sweep, config_file, count):
    rows = lab["pipelines"]["make"]["execution_job_configs"][0]
    value = {f"a long name of a key {n}": f"{n} " * 50 for n in range(count)}
    rows["extra_configs"] = {"type": "toy_lab.steps.Give", "value": value}
    before = definition(config_file, lab, sweep)
    assert len(json.dumps(before)) <= 40_000
    value["a long name of a key 3"] += "."
    assert differences(before, definition(config_file, lab, sweep))


@given(*[st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=14)] * 2)
def test_differences_are_empty_only_for_equal_definitions(before, now):
    assert (differences(before, now) == "") == (before == now)
