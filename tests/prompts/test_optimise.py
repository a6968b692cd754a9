"""configs/prompts/optimise.yaml, whole, against servers that really answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="pip install -e '.[api]'")
from rule_server import RuleServer

WORDS = ("number", "digits", "only", "please", "now", "briefly")
SUMS = {"plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b}
OUT = Path("outputs/prompts")


def missing(prompt):
    """Words that the rule below likes, and a prompt lacks."""
    return [word for word in WORDS if word not in prompt.lower()]


def rule(prompt, body):
    """A solver of sums that is off by one for each word that the prompt lacks, and knows nothing else.

    Asked for prompts, it writes the one it was shown with a missing word more, a different one in each sample.
    """
    if "messages" not in body:
        shown = prompt.rpartition("\n-")[0].rpartition("\n- ")[2]
        more = [f" {shown} {word}" for word in missing(shown)[: body["n"]]]
        return more + [""] * (body["n"] - len(more))
    question, _, asked = prompt.partition("\n")
    found = re.fullmatch(r"What is (\d+) (plus|minus|times) (\d+)\?", question)
    if not found:
        return ["I do not know."]
    return [f"It is {SUMS[found[2]](int(found[1]), int(found[3])) + len(missing(asked))}."]


def expected(prompt, questions):
    """The squared error, with 50 for what is no sum."""
    sums = sum(one["question"].startswith("What is") for one in questions)
    return (sums * len(missing(prompt)) ** 2 + (len(questions) - sums) * 50) / len(questions)


def test_each_pass_finds_better_prompts_and_the_next_begins_with_them(shipped, rows, scores):
    with RuleServer(rule) as server:
        config = shipped("optimise.yaml", server.url)
    material = {
        one["meta_name"]: one["extra_configs"]["rows"]
        for one in next(iter(config["pipelines"].values()))["execution_job_configs"]
    }
    seeds, questions = material["seeds"], material["questions"]
    assert not any("{" in prompt for prompt in server.asked)  # every template was filled

    passes = scores(OUT, "choose.score")
    assert len(passes) == config["max_iter_num"] == 2
    start = seeds
    for number, scored in enumerate(passes, 1):
        folder = OUT / f"iter_{number}"
        candidates = [row["prompt"] for row in rows(folder / "candidates/clean.jsonl")]
        assert set(candidates) > set(start)
        assert len(candidates) == len({re.sub(r"\W", "", one.lower()) for one in candidates})
        assert all(any(one.startswith(old) for old in start) for one in candidates)
        assert [one["mse"] for one in scored["scores"]] == [
            pytest.approx(expected(prompt, questions)) for prompt in candidates
        ]
        best = [row["prompt"] for row in rows(folder / "best/prompts.jsonl")]
        assert best == sorted(candidates, key=lambda prompt: expected(prompt, questions))[:3]
        begun = [row["prompt"] for row in rows(folder / "candidates/start.jsonl")]
        assert begun == start
        start = best
    first, second = (one["best"]["mse"] for one in passes)
    assert second < first < min(expected(prompt, questions) for prompt in seeds)
    told = json.loads((OUT / "iterations.json").read_text())
    assert [row["choose.score.best.mse"] for row in told["iterations"]] == [first, second]

    for number, checked in enumerate(scores(OUT, "check.score"), 1):
        best = [row["prompt"] for row in rows(OUT / f"iter_{number}/best/prompts.jsonl")]
        means = [
            sum(expected(prompt, material["heldout"]) for prompt in prompts) / len(prompts) for prompts in (seeds, best)
        ]
        assert [one["mse"] for one in checked["scores"]] == [pytest.approx(mean) for mean in means]


@pytest.mark.slow
def test_with_a_real_model(shipped, rows, scores, model_address):
    shipped("optimise.yaml", model_address, timeout=1800)
    passes = scores(OUT, "choose.score")
    assert len(passes) >= 1
    for number, scored in enumerate(passes, 1):
        errors = [one["mse"] for one in scored["scores"]]
        assert len(errors) >= 5
        assert max(errors) > min(errors)
        assert len(rows(OUT / f"iter_{number}/best/prompts.jsonl")) == 3
    assert passes[-1]["best"]["mse"] <= passes[0]["best"]["mse"] + 5  # those of the pass before take part again
