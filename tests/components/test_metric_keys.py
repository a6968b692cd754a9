"""Declared metrics: their parameters are filled in, and names are compared with them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.components.metric_keys import (
    MetricKey,
    as_glob,
    expand,
    intersect,
    literal_glob,
    metric_keys,
    pattern_glob,
)

KEYS = metric_keys("loss", under="{dataset_path}_seed{seeds}", per_step=True)


def names(keys, values, is_unknown=lambda name: False):
    return [name for _, name in expand(keys, values, is_unknown)]


def test_the_values_of_parameters_are_filled_in():
    values = {"dataset_path": ["a/x.jsonl", "b/x.jsonl"], "seeds": [1, 2]}
    assert names(KEYS, values) == ["a_x_seed1.loss", "a_x_seed2.loss", "b_x_seed1.loss", "b_x_seed2.loss"]
    assert names(KEYS, {"dataset_path": "wiki.jsonl.gz", "seeds": 42}) == ["wiki_seed42.loss"]


def test_what_is_not_known_may_be_any_text():
    unknown = names(KEYS, {"seeds": 1}, lambda name: name == "dataset_path")
    assert unknown == ["<dataset_path>_seed1.loss"]
    assert intersect(literal_glob("x.y_seed1.loss"), as_glob(unknown[0]))
    assert not intersect(literal_glob("x.y_seed2.loss"), as_glob(unknown[0]))
    assert names(KEYS, {"dataset_path": [["a"], "b"], "seeds": None}) == ["<dataset_path>_seed<seeds>.loss"]


def test_a_metric_may_need_a_parameter():
    keys = (MetricKey("kept", requires="keep_method"),)
    assert names(keys, {"keep_method": None}) == []
    assert names(keys, {"keep_method": "gpt3"}) == names(keys, {}, lambda name: True) == ["kept"]
    assert str(keys[0]) == "`kept` (with `keep_method`)"
    assert str(KEYS[0]) == "`<dataset_path>_seed<seeds>.loss`"


text = st.text(alphabet="ab.", max_size=6)


@given(st.lists(st.one_of(text, st.none()), max_size=4), text)
def test_a_name_is_compared_with_a_declaration_as_a_regular_expression_would(parts, name):
    declared = "".join("<x>" if part is None else part for part in parts)
    expression = "".join(".*" if part is None else re.escape(part) for part in parts)
    assert intersect(as_glob(declared), literal_glob(name)) == bool(re.fullmatch(expression, name, re.DOTALL))


@given(text, st.lists(st.one_of(text, st.none()), max_size=4), st.lists(st.one_of(text, st.none()), max_size=4))
def test_two_patterns_that_fit_one_name_intersect(name, first, second):
    def fits(parts):
        expression = "".join(".*" if part is None else re.escape(part) for part in parts)
        return bool(re.fullmatch(expression, name, re.DOTALL))

    globs = (
        as_glob("".join("<x>" if part is None else part for part in first)),
        pattern_glob("".join("*" if part is None else part for part in second)),
    )
    if fits(first) and fits(second):
        assert intersect(*globs)
    assert intersect(*globs) == intersect(*reversed(globs))
