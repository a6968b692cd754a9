from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_juicer_sandbox.components.base import JobRun, Quiet
from data_juicer_sandbox.components.data.recipe_check import check
from data_juicer_sandbox.components.refine.model_feedback import ModelFeedbackRefiner
from data_juicer_sandbox.errors import JobError

RECIPE: dict[str, Any] = {
    "dataset_path": "rows.jsonl",
    "process": [
        {"text_length_filter": {"min_len": 1}},
        {"special_characters_filter": {"max_ratio": 0.9}},
        {"words_num_filter": None},
        {"clean_email_mapper": {}},
    ],
}


def rows(
    count: int, score: Callable[[dict[str, Any], random.Random], float], seed: int = 0
) -> tuple[list[Any], list[Any]]:
    """Rows with stats, and what a model says of them."""
    rng = random.Random(seed)
    analyzed, feedback = [], []
    for number in range(count):
        stats = {"text_len": rng.randint(1, 1000), "special_char_ratio": rng.random(), "num_words": rng.randint(1, 200)}
        analyzed.append({"id": number, "__dj__stats__": stats})
        feedback.append({"id": number, "model": {"score": score(stats, rng)}})
    return analyzed, feedback


def refine(
    job: JobRun, jsonl: Callable[..., str], data: tuple[list[Any], list[Any]], **params: Any
) -> tuple[dict[str, Any], str]:
    given = {"feedback_key": "model.score", "higher_is_better": True, **params}
    path = ModelFeedbackRefiner(RECIPE, jsonl("analyzed.jsonl", data[0]), jsonl("said.jsonl", data[1]), **given).run(
        job
    )
    text = Path(path).read_text()
    made = yaml.safe_load(text)
    assert check(made) == []
    return {name: args for entry in made["process"] for name, args in entry.items()}, text


def planted(stats: dict[str, Any], rng: random.Random) -> float:
    """Short texts are bad; nothing else matters."""
    return (1.0 if stats["text_len"] >= 300 else 0.0) + rng.gauss(0, 0.5)


def test_a_planted_bound_is_found(job: JobRun, jsonl: Callable[..., str], quiet: Quiet) -> None:
    made, text = refine(job, jsonl, rows(2000, planted))
    assert 280 <= made["text_length_filter"]["min_len"] <= 520
    assert isinstance(made["text_length_filter"]["min_len"], int)
    assert "max_len" not in made["text_length_filter"]
    assert made["special_characters_filter"] == {"max_ratio": 0.9}
    assert made["words_num_filter"] == {}
    values = quiet.values[-1][1]
    assert values["accepted"] == 1
    assert values["text_length_filter.min_len"] == made["text_length_filter"]["min_len"]
    assert 0.5 <= values["kept_ratio"] < 1
    assert "# text_length_filter.min_len: 1 -> " in text
    assert "is not proven" in text


def test_a_loss_is_better_when_lower(job: JobRun, jsonl: Callable[..., str]) -> None:
    def loss(stats: dict[str, Any], rng: random.Random) -> float:
        return 3.0 + (1.0 if stats["special_char_ratio"] > 0.7 else 0.0) + rng.gauss(0, 0.3)

    made, _ = refine(job, jsonl, rows(2000, loss), higher_is_better=False)
    assert 0.5 <= made["special_characters_filter"]["max_ratio"] <= 0.72
    assert "min_ratio" not in made["special_characters_filter"]
    assert made["text_length_filter"] == {"min_len": 1}


def test_noise_changes_nothing(job: JobRun, jsonl: Callable[..., str], quiet: Quiet) -> None:
    accepted = 0
    for seed in range(12):
        made, _ = refine(job, jsonl, rows(400, lambda _, rng: rng.gauss(0, 1), seed), seed=seed)
        accepted += quiet.values[-1][1]["accepted"]
        assert quiet.values[-1][1]["tried"] == 6
        if not quiet.values[-1][1]["accepted"]:
            assert made == {name: args or {} for entry in RECIPE["process"] for name, args in entry.items()}
    assert accepted <= 2  # a chance of 5 in 100 each


def test_enough_is_kept(job: JobRun, jsonl: Callable[..., str], quiet: Quiet) -> None:
    def steep(stats: dict[str, Any], rng: random.Random) -> float:
        return stats["text_len"] / 100 - 5 * stats["special_char_ratio"] + stats["num_words"] / 30 + rng.gauss(0, 0.1)

    refine(job, jsonl, rows(1000, steep), min_keep_ratio=0.8)
    assert quiet.values[-1][1]["kept_ratio"] >= 0.8
    assert quiet.values[-1][1]["accepted"] >= 1


def test_the_same_bytes_twice(job: JobRun, jsonl: Callable[..., str]) -> None:
    data = rows(500, planted)
    assert refine(job, jsonl, data)[1] == refine(job, jsonl, data)[1]


def test_joined_by_a_key(job: JobRun, jsonl: Callable[..., str]) -> None:
    analyzed, feedback = rows(1000, planted)
    in_order, _ = refine(job, jsonl, (analyzed[:800], feedback[:800]))
    random.Random(5).shuffle(feedback)
    only = [row for row in feedback if row["id"] < 800]
    joined, _ = refine(job, jsonl, (analyzed, only), id_key="id")
    assert joined == in_order


def test_rows_without_feedback_or_stat(job: JobRun, jsonl: Callable[..., str]) -> None:
    analyzed, feedback = rows(1500, planted)
    for number in range(0, 1500, 5):
        feedback[number]["model"]["score"] = None
        analyzed[number + 1]["__dj__stats__"].pop("text_len")
        analyzed[number + 2]["__dj__stats__"]["text_len"] = [analyzed[number + 2]["__dj__stats__"]["text_len"]]
    made, text = refine(job, jsonl, (analyzed, feedback))
    assert 280 <= made["text_length_filter"]["min_len"] <= 520
    assert "on 1200 rows" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, f: (a, f[:-3]), "fewer than the other file"),
        (lambda a, f: (a[:-3], f), "fewer than the other file"),
        (lambda a, f: (a, [{"model": {}} for _ in f]), "no row of .* has a number at 'model.score'"),
        (lambda a, f: (a[:20], f[:20]), "only 20 rows have feedback"),
    ],
)
def test_files_that_do_not_fit(job: JobRun, jsonl: Callable[..., str], change: Any, said: str) -> None:
    with pytest.raises(JobError, match=said):
        refine(job, jsonl, change(*rows(200, planted)))


def test_keys_that_do_not_fit(job: JobRun, jsonl: Callable[..., str]) -> None:
    analyzed, feedback = rows(100, planted)
    with pytest.raises(JobError, match="more than one row"):
        refine(job, jsonl, (analyzed, [*feedback, feedback[0]]), id_key="id")
    with pytest.raises(JobError, match="has the 'id' of a row"):
        refine(job, jsonl, ([{**row, "id": -1 - row["id"]} for row in analyzed], feedback), id_key="id")
