from __future__ import annotations

from typing import Any

import pytest

from data_juicer_sandbox.components.data.recipe_check import check

GOOD: dict[str, Any] = {
    "project_name": "p",
    "dataset_path": "rows.jsonl",
    "np": 2,
    "text_keys": ["text"],
    "checkpoint": {"n_ops": 3},
    "process": [
        {"text_length_filter": {"min_len": 10, "max_len": 10000}},
        {"words_num_filter": {"min_num": 3, "text_key": "text.body"}},
        {"alphanumeric_filter": {"min_ratio": 0, "reversed_range": False}},
        {"special_characters_filter": {}},
        {"character_repetition_filter": {"rep_len": 5}},
        {"word_repetition_filter": None},
        {"language_id_score_filter": {"lang": ["en", "zh"], "min_score": 0.5}},
        {"frequency_specified_field_selector": {"field_key": "meta.suffix", "top_ratio": 0.5, "topk": None}},
    ],
}


def test_a_good_recipe_is_good() -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("change", "path", "message", "hint"),
    [
        ({"dataset_pth": "x"}, ("dataset_pth",), "unknown key `dataset_pth`", "`dataset_path`"),
        ({"np": 0}, ("np",), "`np` cannot be 0", "int > 0"),
        ({"np": "two"}, ("np",), "`np` cannot be 'two'", "int > 0"),
        ({"executor_type": "spark"}, ("executor_type",), "cannot be 'spark'", "'ray_partitioned'"),
        ({"checkpoint": {"enabld": True}}, ("checkpoint", "enabld"), "unknown key `checkpoint.enabld`", "enabled"),
        ({"process": {"text_length_filter": {}}}, ("process",), "must be a list of OPs", "text_length_filter"),
        ({"process": ["clean_html_mapper"]}, ("process", 0), "not a string", "- clean_html_mapper: {}"),
        ({"process": [{"a": 1, "b": 2}]}, ("process", 0), "not 2 keys", "min_len"),
        (
            {"process": [{"text_lenght_filter": None}]},
            ("process", 0, "text_lenght_filter"),
            "unknown OP `text_lenght_filter`",
            "`text_length_filter`",
        ),
        (
            {"process": [{"text_length_filter": {"min_lem": 1}}]},
            ("process", 0, "text_length_filter", "min_lem"),
            "has no parameter `min_lem`",
            "did you mean `min_len`? its own parameters: min_len, max_len",
        ),
        (
            {"process": [{"text_length_filter": {"min_len": "ten"}}]},
            ("process", 0, "text_length_filter", "min_len"),
            "cannot be 'ten'",
            "expected int",
        ),
        (
            {"process": [{"text_length_filter": {"min_len": 1.5}}]},
            ("process", 0, "text_length_filter", "min_len"),
            "cannot be 1.5",
            "expected int",
        ),
        (
            {"process": [{"image_pair_similarity_filter": {"min_score": 1.5}}]},
            ("process", 0, "image_pair_similarity_filter", "min_score"),
            "cannot be 1.5",
            "float >= 0 and <= 1",
        ),
        (
            {"process": [{"frequency_specified_field_selector": {"top_ratio": 2}}]},
            ("process", 0, "frequency_specified_field_selector", "top_ratio"),
            "cannot be 2",
            "float >= 0 and <= 1, or nothing",
        ),
        (
            {"process": [{"words_num_filter": [1]}]},
            ("process", 0, "words_num_filter"),
            "must be a mapping, not a list",
            None,
        ),
    ],
)
def test_faults(change: dict[str, Any], path: tuple[Any, ...], message: str, hint: str | None) -> None:
    (problem,) = check({**GOOD, **change})
    assert problem.path == path
    assert message in problem.message
    assert hint is None if problem.hint is None else hint in problem.hint


def test_all_faults_at_once() -> None:
    bad = {"nP": 1, "process": [{"x_filter": {}}, {"text_length_filter": {"a": 1, "b": 2}}, 7]}
    assert [problem.path for problem in check(bad)] == [
        ("nP",),
        ("process", 0, "x_filter"),
        ("process", 1, "text_length_filter", "a"),
        ("process", 1, "text_length_filter", "b"),
        ("process", 2),
    ]


@pytest.mark.parametrize(
    "way",
    [
        ("process",),
        ("process", 0),
        ("process", 0, "text_length_filter"),
        ("process", 0, "text_length_filter", "min_len"),
    ],
)
def test_what_will_be_set_is_not_judged(way: tuple[Any, ...]) -> None:
    bad = {"process": [{"text_length_filter": {"min_len": "later"}}]}
    assert check(bad)
    assert check(bad, lambda path: path == way) == []
    assert check(bad, lambda path: path == ("process", 1))


def test_own_operators_may_have_any_name() -> None:
    process = [{"our_own_filter": {"x": 1}}]
    assert check({"process": process})
    assert check({"process": process, "custom_operator_paths": ["ops.py"]}) == []


def test_several_data_sets() -> None:
    assert check({"dataset_path": ["a.jsonl", "b.jsonl"]}) == []
    assert check({"dataset": {"configs": [{"type": "local", "path": "a"}], "max_sample_num": 3}}) == []
