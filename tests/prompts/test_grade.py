"""configs/prompts/grade.yaml, whole, against servers that really answer."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean

import pytest

pytest.importorskip("openai", reason="pip install -e '.[api]'")
from rule_server import RuleServer

OUT = Path("outputs/grading")


def grade(text):
    """From 1 to 5: the more long words, the better."""
    words = text.split()
    return 1 + round(4 * sum(len(word) >= 4 for word in words) / len(words))


def rule(prompt, body):
    """Grades the text; in words where it is asked for an answer, and in drawn answers above what it means."""
    text = re.sub(r"\s*(Mark from.*|Score:|How well.*)$", "", prompt, flags=re.DOTALL)
    found = grade(text.rpartition("Text: ")[2])
    if body["temperature"]:
        return [f" {found}", f" {min(found + 1, 5)}", " none", f" {min(found + 1, 5)}."]
    return [" very well" if prompt.endswith("Answer:") else f" {found}"]


def squared(text, quality, judge, sampled):
    """The squared error of that rule, read as the config reads it."""
    found = grade(text)
    if judge == "always_3":
        return (3 - quality) ** 2
    if sampled:
        return (fmean([found, min(found + 1, 5), min(found + 1, 5)]) - quality) ** 2
    return 4 if judge == "question" else (found - quality) ** 2


def test_the_judges_are_ranked_and_the_best_ones_grades_kept(shipped, rows, scores):
    with RuleServer(rule) as server:
        config = shipped("grade.yaml", server.url)
    jobs = config["pipelines"]["material"]["execution_job_configs"]
    material = {one["meta_name"]: one["extra_configs"]["rows"] for one in jobs}
    judges, texts = material["judges"], material["texts"]
    [scored] = scores(OUT, "grade.score")
    tried = [(one["judge"], sampled) for sampled in (False, True) for one in judges] + [("always_3", False)]
    means = [fmean(squared(one["text"], one["quality"], *way) for one in texts) for way in tried]
    assert [one["mse"] for one in scored["scores"]] == [pytest.approx(mean) for mean in means]
    unread = [one["format_errors"] for one in scored["scores"]]
    assert unread == [len(texts) if way == ("question", False) else 0 for way in tried]
    assert scored["best"]["mse"] == pytest.approx(min(means))

    [ranked] = scores(OUT, "choose.rank")
    order = sorted(range(len(judges) * 2), key=means.__getitem__)
    assert ranked["best"] == [scored["scores"][place]["dataset"] for place in order[:2]]
    kept = rows(OUT / "best/graded.jsonl")
    assert kept == [row for path in ranked["best"] for row in rows(path)]
    assert [row["judge"] for row in kept[:: len(texts)]] == [tried[place][0] for place in order[:2]]


@pytest.mark.slow
def test_with_a_real_model(shipped, rows, scores, model_address):
    shipped("grade.yaml", model_address, timeout=1800)
    [scored] = scores(OUT, "grade.score")
    *asked, always_3 = scored["scores"]
    assert len({one["mse"] for one in asked}) > 4
    assert sum(one["format_errors"] for one in asked) > 0
    assert always_3["mse"] == 2
    assert len(rows(OUT / "best/graded.jsonl")) == 2 * always_3["rows"]
