"""Bounds by what models learn from data pools."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.pools.construction import DataPoolConstruction
from data_juicer_sandbox.components.refine.model_feedback import ModelFeedbackRefiner
from data_juicer_sandbox.errors import JobError

RECIPE: dict[str, Any] = {
    "dataset_path": "rows.jsonl",
    "process": [{"text_length_filter": {"min_len": 1}}, {"special_characters_filter": {}}, {"words_num_filter": {}}],
}
STATS = ("text_len", "special_char_ratio", "num_words")


@pytest.fixture
def pools(jsonl: Callable[..., str], job: JobRun, tmp_path: Path) -> list[str]:
    """Five pools of each of three stats, and a control, constructed from 600 rows."""
    rng = random.Random(1)
    rows = [
        {"text": str(number), "__dj__stats__": {
            "text_len": rng.randint(1, 1000), "special_char_ratio": rng.random(), "num_words": rng.randint(1, 200),
        }}
        for number in range(600)
    ]  # fmt: skip
    path = jsonl("rows.jsonl", rows)
    construct = DataPoolConstruction(
        path, str(tmp_path / "pools"), ["1/5", "2/5", "3/5", "4/5"], remainder="drop", with_control=True
    )
    return construct.run(job)


def train(
    pools: list[str], loss: Callable[[list[dict[str, Any]]], float], noise: float, seeds: int = 3, seed: int = 0
) -> list[dict[str, Any]]:
    """What models would score that learn a loss from a pool, give or take the noise of pools and of seeds."""
    rng = random.Random(seed)
    scores = []
    for path in pools:
        value = loss([row["__dj__stats__"] for row in read_rows(path)]) + rng.gauss(0, noise)
        for number in range(seeds):
            for held_out in ("news", "books"):
                bits = value + (held_out == "news") + rng.gauss(0, noise)
                scores.append(
                    {"train_dataset": Path(path).stem, "seed": number, "dataset": held_out, "bits_per_byte": bits}
                )
    rng.shuffle(scores)
    return scores


def short_is_bad(stats: list[dict[str, Any]]) -> float:
    return 2 + sum(one["text_len"] < 400 for one in stats) / len(stats)


def refine(job: JobRun, pools: list[str], scores: list[Any], **params: Any) -> tuple[dict[str, Any], list[Any], str]:
    path, evidence = ModelFeedbackRefiner(RECIPE, pool_paths=pools, pool_scores=scores, **params).run(job)
    json.dumps(evidence, allow_nan=False)
    text = Path(path).read_text()
    return {name: args for entry in yaml.safe_load(text)["process"] for name, args in entry.items()}, evidence, text


def test_a_planted_bound_is_found(job: JobRun, pools: list[str], quiet: NullJob) -> None:
    made, evidence, text = refine(job, pools, train(pools, short_is_bad, 0.05))
    third = [row["__dj__stats__"]["text_len"] for row in read_rows(pools[2])]
    assert pools[2].endswith("text_len_2.jsonl")
    assert made["text_length_filter"] == {"min_len": min(third)}  # about 400
    assert 350 <= min(third) <= 450
    assert made["special_characters_filter"] == made["words_num_filter"] == {}
    (accepted,) = [one for one in evidence if one["accepted"]]
    assert (accepted["param"], accepted["over"]) == ("min_len", 5)
    assert accepted["rank_correlation"] <= -0.5  # the loss falls
    assert accepted["gain_low"] < 0.4 < accepted["gain_high"]
    assert accepted["kept_ratio"] == pytest.approx(0.6, abs=0.01)
    assert "models trained on 16 pools, 3 for each" in text
    assert quiet.values[-1][1]["accepted"] == 1


def test_the_other_side_of_another_stat(job: JobRun, pools: list[str]) -> None:
    def symbols_are_bad(stats: list[dict[str, Any]]) -> float:
        return 2 + sum(one["special_char_ratio"] > 0.8 for one in stats) / len(stats)

    made, _, _ = refine(job, pools, train(pools, symbols_are_bad, 0.05), feedback_key="bits_per_byte")
    assert made["text_length_filter"] == {"min_len": 1}
    assert made["special_characters_filter"].keys() == {"max_ratio"}
    assert 0.75 <= made["special_characters_filter"]["max_ratio"] <= 0.82
    scores = [{**one, "score": -one["bits_per_byte"]} for one in train(pools, symbols_are_bad, 0.05)]
    assert refine(job, pools, scores, feedback_key="score")[0] == made


def test_noise_changes_nothing(job: JobRun, pools: list[str]) -> None:
    """At most 5 in 100 refinements may be wrong, also where pools differ by chance as much as seeds do."""
    wrong = 0
    for seed in range(40):
        made, _, _ = refine(job, pools, train(pools, lambda _: 2.0, 0.1, seed=seed))
        plain = {name: args for entry in RECIPE["process"] for name, args in entry.items()}
        wrong += made != plain
    assert wrong <= 4


def test_what_drowns_in_noise_is_not_proven(job: JobRun, pools: list[str]) -> None:
    made, evidence, text = refine(job, pools, train(pools, short_is_bad, 2.0))
    assert made["text_length_filter"] == {"min_len": 1}
    assert evidence
    assert not any(one["accepted"] for one in evidence)
    assert "not proven" in text


def test_enough_is_kept(job: JobRun, pools: list[str], quiet: NullJob) -> None:
    made, _, _ = refine(job, pools, train(pools, short_is_bad, 0.05), min_keep_ratio=0.75)
    second = [row["__dj__stats__"]["text_len"] for row in read_rows(pools[1])]
    assert made["text_length_filter"]["min_len"] == min(second)  # one pool of five at most may go
    assert quiet.values[-1][1]["kept_ratio"] >= 0.75


def test_the_same_bytes_twice(job: JobRun, pools: list[str]) -> None:
    scores = train(pools, short_is_bad, 0.1)
    assert refine(job, pools, scores)[1:] == refine(job, pools, scores)[1:]


def test_what_does_not_fit_is_said(job: JobRun, pools: list[str], jsonl: Callable[..., str]) -> None:
    scores = train(pools, short_is_bad, 0.05)
    with pytest.raises(JobError, match=r"the pool .* has no score"):
        refine(job, pools, [one for one in scores if one["train_dataset"] != Path(pools[3]).stem])
    with pytest.raises(JobError, match="have other seeds or data sets"):
        refine(job, pools, scores[1:])
    with pytest.raises(JobError, match="have no 'accuracy'"):
        refine(job, pools, scores, feedback_key="accuracy")
    with pytest.raises(JobError, match="3 pools are too few"):
        refine(job, pools[:3], scores)
    other = jsonl("elsewhere/pool.jsonl", [{"text": "x"}])
    with pytest.raises(JobError, match="belongs to a stat that the recipe bounds"):
        refine(job, [other], [{"train_dataset": "pool", "bits_per_byte": 1.0}])
