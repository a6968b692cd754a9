"""A run says which data set is better, by how much, and how sure that is."""

from __future__ import annotations

import json
import random

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.engine.conclusions import conclusions, rankings

CONTROL = [3.90, 3.92, 3.91]


def scores(dataset="heldout", **values):
    return [
        {"model": f"{name}_{n}", "dataset": dataset, "train_dataset": name, "seed": n, "bits_per_byte": value}
        for name, each in values.items()
        for n, value in enumerate(each)
    ]


def conclude(value, ranked=()):
    return conclusions([("main.score", "scores", value)], ranked)


def test_two_data_sets_that_differ_beyond_the_noise():
    lower = scores(docs_336=CONTROL, clean_336=[value - 0.05 - n / 1000 for n, value in enumerate(CONTROL)])
    expected = (
        "main.score.scores on heldout: clean has the lowest bits_per_byte, 3.8590, against 3.9100 of docs; "
        "lower by 0.0510, 95% interval 0.0485 to 0.0535, 3 seeds; the difference exceeds the noise of the seeds"
    )
    assert conclude(lower) == [expected]


def test_two_data_sets_that_are_equal_but_for_noise():
    (sentence,) = conclude(scores(raw=[3.90, 3.95], refined=[3.96, 3.90]))
    assert sentence.endswith("the difference is not proven: 0 is in the interval")


def test_one_model_each_proves_nothing():
    (sentence,) = conclude(scores(raw=[3.9], refined=[3.8]))
    assert sentence.endswith("with one model each the noise is unknown: train with several `seeds`")
    assert "refined has the lowest bits_per_byte, 3.8000, against 3.9000 of raw" in sentence


def test_several_data_sets_and_held_out_sets():
    draws = random.Random(1)
    noise = [draws.gauss(0, 0.001) for _ in range(5)]
    three = {"best": [3 + n for n in noise], "near": [3.001 - n for n in noise], "far": [4 - n for n in noise]}
    sentences = conclude(scores(**three) + scores("other", **three))
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "main.score.scores on heldout",
        "main.score.scores on other",
    ]
    assert "better than far; not distinguishable from near (95% confidence for all pairs together)" in sentences[0]


@pytest.mark.parametrize(
    "value", [None, 3, [], [1], [{"bits_per_byte": 1}], scores(only=[1, 2]), [{"accuracy": 1, "dataset": "a"}]]
)
def test_other_outputs_have_no_conclusion(value):
    assert conclude(value) == []


@pytest.fixture
def rank(config_file, tmp_path):
    """Run a ranking of pools in a run of its own."""

    def run(**extra_configs):
        for name in ("text_len_0", "text_len_1", "control"):
            (tmp_path / f"docs_{name}.jsonl").write_text('{"text": "a"}\n')
        paths = [f"docs_{name}.jsonl" for name in ("text_len_0", "text_len_1", "control")]
        job = {"hook": "GeneralProbeHook", "meta_name": "rank", "output": "best"}
        parts = {"type": "data_pool_ranking", "dataset_path": paths, "ranking_keys": "bits_per_byte"}
        parts |= {"descending": False, **extra_configs}
        return Sandbox({"work_dir": "out", "probe_job_configs": [{**job, "extra_configs": parts}]}).run()

    return run


def test_a_ranking_says_which_pools_are_better_than_the_control(rank):
    values = {"docs_text_len_0": [4.00, 4.03, 4.01], "docs_text_len_1": [3.80, 3.82, 3.815], "docs_control": CONTROL}
    results = rank(metrics=scores(**values), match_key="train_dataset", baseline="control")
    (table,) = results.rankings
    assert table.title == "anonymous.rank: pools, best first; baseline: control"
    assert [row[1] for row in table.rows] == ["text_len_high", "text_len_low"]
    assert [row[-1] for row in table.rows] == ["better", "worse"]
    assert [row[4] for row in table.rows] == ["-2.51%", "+2.64%"]
    expected = (
        "anonymous.rank: better than control: text_len_high; worse than control: text_len_low "
        "(95% confidence for all comparisons together, 3 seeds)"
    )
    assert results.conclusions == (expected,)
    page = results.report.read_text()
    assert "better than control: text_len_high" in page
    assert "<td>text_len_high</td>" in page
    assert results["anonymous.rank.best"] == ["docs_text_len_1.jsonl", "docs_text_len_0.jsonl"]


def test_a_ranking_names_the_pools_without_proof(rank):
    values = {"docs_text_len_0": [3.93, 3.90, 3.91], "docs_text_len_1": [3.80, 3.82, 3.815], "docs_control": CONTROL}
    (sentence,) = rank(metrics=scores(**values), match_key="train_dataset", baseline="control").conclusions
    assert "better than control: text_len_high; not proven: text_len_low (" in sentence


def test_a_ranking_without_proof_says_so(rank):
    values = {"docs_text_len_0": [3.93, 3.90, 3.91], "docs_text_len_1": [3.92, 3.91, 3.92], "docs_control": CONTROL}
    results = rank(metrics=scores(**values), match_key="train_dataset", baseline="docs_control")
    assert "no pool differs from control beyond the noise of the seeds" in results.conclusions[0]
    assert {row[-1] for row in results.rankings[0].rows} == {"not proven"}


def test_a_ranking_of_single_numbers(rank):
    results = rank(metrics=[{"bits_per_byte": value} for value in (3, 2, 4)], baseline="docs_control.jsonl")
    assert "one measurement of each pool, so noise is unknown" in results.conclusions[0]
    assert "text_len_high ranks first of 2 (bits_per_byte -50.00% against control)" in results.conclusions[0]
    assert [row[3] for row in rank(metrics=[{"bits_per_byte": n} for n in (3, 2, 4)]).rankings[0].rows] == [2, 3, 4]


def test_odd_lines_among_the_metrics_break_nothing(tmp_path):
    good = {"pipeline": "p", "job": "r", "value": 1}
    lines = [
        {**good, "name": "r.a.rank"}, {**good, "name": "r.a.score"}, {**good, "name": "r.a.metrics", "value": 3},
        {**good, "name": "r.a.metrics.x", "value": None}, {**good, "name": 7}, {"job": ["r"], "name": "r.b.rank"},
        {"job": "r", "name": "r.b.rank", "value": 1}, {**good, "name": "r.b.rank", "value": "first"},
        {**good, "name": "r.b.score"}, {**good, "name": "r.a.baseline"}, {**good, "name": "r.a.verdict.x", "value": []},
        {**good, "name": "r.a.seeds", "value": "many"},
    ]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut')
    (ranking,) = rankings(tmp_path / "metrics.jsonl")
    assert ranking.table().rows == [[1, "a", "x", None]]
    assert ranking.sentence() == "p.r: a ranks first of 1"


def test_the_command_line_ends_with_the_conclusion(rank, dj_sandbox, tmp_path):
    values = {"docs_text_len_0": CONTROL, "docs_text_len_1": [3.80, 3.82, 3.815], "docs_control": CONTROL}
    rank(metrics=scores(**values), match_key="train_dataset", baseline="control")
    config = json.loads((tmp_path / "out/config.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps(config))
    done = dj_sandbox("--config", "x.json", "--resume", "true")
    assert done.returncode == 0, done.stderr
    assert "better than control: text_len_high" in done.stderr.splitlines()[-1]


def test_another_job_names_the_control_of_a_construction(config_file, tmp_path):
    rows = [{"text": f"t{n}", "__dj__stats__": {"text_len": n}} for n in range(12)]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    construct = {"type": "data_pool_construction", "dataset_path": "docs.jsonl", "export_path": "out/pools"}
    sample = {"type": "data_pool_downsampling", "export_path": "out/sample", "target_num_samples": 2}
    hook = {"hook": "DataPoolManipulationHook", "output": "pools"}
    jobs = [
        {**hook, "meta_name": "construct", "extra_configs": {**construct, "with_control": True}},
        {
            **hook,
            "meta_name": "sample",
            "input": {"extra_configs.dataset_path": "construct.pools.-1"},
            "extra_configs": sample,
        },
    ]
    results = Sandbox({"work_dir": "out", "execution_job_configs": jobs}).run()
    assert results["anonymous.sample.pools"] == ["out/sample/docs_control_2.jsonl"]
