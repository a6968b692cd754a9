from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data.overall_table import write_table
from data_juicer_sandbox.components.data.recipe_check import check
from data_juicer_sandbox.components.refine.bounds import RecipeBound, recipe_bounds
from data_juicer_sandbox.components.refine.k_sigma import KSigmaRefiner
from data_juicer_sandbox.errors import ConfigError, JobError


def table(**stats: tuple[float, ...]) -> dict[str, float]:
    """An overall table: mean, std, and min and max where they are given."""
    values: dict[str, float] = {}
    for stat, numbers in stats.items():
        values |= {f"{stat}.{row}": number for row, number in zip(("mean", "std", "min", "max"), numbers, strict=False)}
        values[f"{stat}.count"] = 100.0
    return values


def refine(job: JobRun, quiet: NullJob, process: list[Any], stats: dict[str, float], **params: Any) -> list[Any]:
    quiet.watch(stats)
    recipe = {"dataset_path": "rows.jsonl", "process": process}
    before = json.dumps(recipe)
    path = KSigmaRefiner(recipe, **params).run(job)
    assert json.dumps(recipe) == before  # the user's own recipe is not changed
    made = yaml.safe_load(Path(path).read_text())
    assert check(made) == []
    assert made["dataset_path"] == "rows.jsonl"
    return made["process"]  # type: ignore[no-any-return]


def test_bounds_are_mean_and_k_sigma(job: JobRun, quiet: NullJob) -> None:
    process = [
        {"text_length_filter": {"min_len": 10, "max_len": 9999}},
        {"special_characters_filter": None},
        {"clean_email_mapper": {}},
    ]
    stats = table(text_len=(500.4, 100.1), special_char_ratio=(0.2, 0.05))
    assert refine(job, quiet, process, stats, k=2) == [
        {"text_length_filter": {"min_len": 300, "max_len": 701}},  # 300.2 and 700.6, rounded outward
        {"special_characters_filter": {"min_ratio": pytest.approx(0.1), "max_ratio": pytest.approx(0.3)}},
        {"clean_email_mapper": {}},
    ]


@pytest.mark.parametrize(("side", "kept"), [("lower", {"min_len", "max_len"}), ("upper", {"max_len"})])
def test_one_side(job: JobRun, quiet: NullJob, side: str, kept: set[str]) -> None:
    ((_, args),) = refine(
        job, quiet, [{"text_length_filter": {"max_len": 9999}}], table(text_len=(500, 100)), side=side
    )[0].items()
    assert set(args) == kept
    assert args["max_len"] == (9999 if side == "lower" else 800)
    assert args.get("min_len", 200) == 200


@pytest.mark.parametrize(
    ("op", "stats", "expected"),
    [
        ({"text_length_filter": {}}, table(text_len=(100, 90)), {"min_len": 0, "max_len": 370}),
        (
            {"character_repetition_filter": {}},
            table(char_rep_ratio=(0.9, 0.1, 0, 1)),
            {"min_ratio": 0.6, "max_ratio": 1.0},
        ),
        (
            {"image_pair_similarity_filter": {}},
            table(image_pair_similarity=(0.1, 0.5)),
            {"min_score": 0.0, "max_score": 1.0},
        ),
        ({"audio_nmf_snr_filter": {}}, table(audio_nmf_snr=(1, 2)), {"min_snr": -5.0, "max_snr": 7.0}),
        (
            {"image_shape_filter": {"max_width": 5}},
            table(image_width=(300, 50), image_height=(200, 20)),
            {"max_width": 450, "min_width": 150, "min_height": 140, "max_height": 260},
        ),
        (
            {"alphanumeric_filter": {"tokenization": True}},
            table(alpha_token_ratio=(3, 0.5), alnum_ratio=(0.5, 0.1)),
            {"tokenization": True, "min_ratio": 1.5, "max_ratio": 4.5},
        ),
        (
            {"alphanumeric_filter": {}},
            table(alpha_token_ratio=(3, 0.5), alnum_ratio=(0.5, 0.1)),
            {"min_ratio": pytest.approx(0.2), "max_ratio": pytest.approx(0.8)},
        ),
        (
            {"image_size_filter": {"min_size": "1kb"}},
            table(image_sizes=(1e6, 1e5)),
            {"min_size": "700000", "max_size": "1300000"},
        ),
        (
            {"video_aspect_ratio_filter": {}},
            table(video_aspect_ratios=(2.0, 0.25)),
            {"min_ratio": "1.25", "max_ratio": "2.75"},
        ),
        (
            {"language_id_score_filter": {"lang": "en"}},
            table(lang_score=(0.9, 0.1)),
            {"lang": "en", "min_score": pytest.approx(0.6)},
        ),
        (
            {"image_watermark_filter": {}},
            table(image_watermark_prob=(0.5, 0.1)),
            {"prob_threshold": pytest.approx(0.8)},
        ),
        (
            {"video_motion_score_filter": {"max_size": 9}},
            table(video_motion_score=(5, 1)),
            {"max_size": 9, "min_score": 2.0, "max_score": 8.0},
        ),
        ({"words_num_filter": {"min_num": 5}}, table(num_words=(10.0, 5.0)), {"min_num": 0, "max_num": 25}),
        ({"words_num_filter": {"min_num": 5}}, table(num_words=(math.nan, 1.0), text_len=(1, 1)), {"min_num": 5}),
        ({"words_num_filter": {"min_num": 5}}, table(num_words=(7.0, math.nan), text_len=(1, 1)), {"min_num": 5}),
        ({"perplexity_filter": {"max_ppl": 5}}, table(text_len=(1, 1)), {"max_ppl": 5}),
        (
            {"text_length_filter": {"min_len": 3, "reversed_range": True}},
            table(text_len=(9, 1)),
            {"min_len": 3, "reversed_range": True},
        ),
        (
            {"image_subplot_filter": {"min_confidence": 0.4}},
            table(image_subplot_confidence=(1, 1)),
            {"min_confidence": 0.4},
        ),
    ],
)
def test_each_parameter_by_its_own_stat(
    job: JobRun, quiet: NullJob, op: dict[str, Any], stats: dict[str, float], expected: dict[str, Any]
) -> None:
    ((name, _),) = op.items()
    assert refine(job, quiet, [op], stats) == [{name: expected}]


def test_what_is_known_by_name_yields_to_the_data(job: JobRun, quiet: NullJob) -> None:
    """A ratio whose values lie outside [0, 1] is not cut to it."""
    made = refine(job, quiet, [{"character_repetition_filter": {}}], table(char_rep_ratio=(1, 1, -1, 3)))
    assert made == [{"character_repetition_filter": {"min_ratio": -2.0, "max_ratio": 4.0}}]


def test_bounds_never_cross(job: JobRun, quiet: NullJob) -> None:
    process = [{"text_length_filter": {"min_len": 1, "max_len": 50}}]
    assert refine(job, quiet, process, table(text_len=(500, 100)), side="lower") == process
    text = (job.folder / "k_sigma_recipe.yaml").read_text()
    assert "200 would cross the other bound; unchanged" in text


def test_head_log_and_metrics_name_every_change(job: JobRun, quiet: NullJob) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO", format="{message}")
    process = [{"text_length_filter": {"min_len": 10}}, {"perplexity_filter": {}}]
    refine(job, quiet, process, table(text_len=(500, 100)))
    logger.remove(sink)
    head = [line for line in (job.folder / "k_sigma_recipe.yaml").read_text().splitlines() if line.startswith("#")]
    assert head == [
        "# Refined by the k-sigma rule: k 3, both bounds, from the table of a_job.",
        "# text_length_filter.min_len: 10 -> 200 (text_len: mean 500, sigma 100, k 3, n 100)",
        "# text_length_filter.max_len: unset (9223372036854775807) -> 800 (text_len: mean 500, sigma 100, k 3, n 100)",
        "# perplexity_filter.min_ppl: perplexity has no mean and deviation in the table; unchanged",
        "# perplexity_filter.max_ppl: perplexity has no mean and deviation in the table; unchanged",
    ]
    assert [line.strip().removeprefix("k-sigma | ") for line in lines] == [line[2:] for line in head[1:]]
    watched = quiet.query("a_job")
    assert (watched["text_length_filter.min_len"], watched["text_length_filter.max_len"]) == (200.0, 800.0)
    assert quiet.values[-1][1]["text_len.mean"] == 500  # the table is still found under the name that both share


def test_the_same_op_twice(job: JobRun, quiet: NullJob) -> None:
    process = [{"text_length_filter": {"min_len": 10}}, {"text_length_filter": {"max_len": 20}}]
    bounds = {"min_len": 200, "max_len": 800}
    assert refine(job, quiet, process, table(text_len=(500, 100))) == [{"text_length_filter": bounds}] * 2
    assert "text_length_filter.1.max_len" in quiet.values[-1][1]


def test_json_and_a_path(job: JobRun, quiet: NullJob, tmp_path: Path) -> None:
    quiet.watch(table(text_len=(500, 100)))
    recipe = {"process": [{"text_length_filter": {}}], "text_keys": "名"}
    path = str(tmp_path / "new/recipe.json")
    assert KSigmaRefiner(recipe, path_k_sigma_recipe=path).run(job) == path
    made = json.loads(Path(path).read_text(encoding="utf-8"))
    assert made == {"process": [{"text_length_filter": {"min_len": 200, "max_len": 800}}], "text_keys": "名"}
    first = Path(path).read_bytes()
    KSigmaRefiner(recipe, path_k_sigma_recipe=path).run(job)
    assert Path(path).read_bytes() == first


def test_another_probe(job: JobRun) -> None:
    class ByName(NullJob):
        def query(self, meta_name: str) -> dict[str, Any]:
            return table(text_len=(500, 100)) if meta_name == "the_probe" else {}

    named = dataclasses.replace(job, watcher=ByName())
    recipe = {"process": [{"text_length_filter": {}}]}
    with pytest.raises(JobError, match="'a_job' was found") as raised:
        KSigmaRefiner(recipe).run(named)
    assert "probe: <meta_name of the probe>" in str(raised.value)
    KSigmaRefiner(recipe, probe="the_probe").run(named)
    assert set(named.watcher.values[-1][1]) == {"text_length_filter.min_len", "text_length_filter.max_len"}  # type: ignore[attr-defined]


def test_the_table_is_the_file_of_the_probe(job: JobRun, quiet: NullJob) -> None:
    """It is neither read from the log of metrics nor reported again."""
    quiet.watch({"text_length_filter.min_len": 1.0, **table(text_len=(9, 9))})
    probe = job.folder.parent / "a_job"
    probe.mkdir()
    write_table(probe, table(text_len=(500, 100)))
    path = KSigmaRefiner({"process": [{"text_length_filter": {}}]}).run(job)
    assert yaml.safe_load(Path(path).read_text())["process"] == [
        {"text_length_filter": {"min_len": 200, "max_len": 800}}
    ]
    assert set(quiet.values[-1][1]) == {"text_length_filter.min_len", "text_length_filter.max_len"}


def test_a_table_by_its_path(job: JobRun, tmp_path: Path) -> None:
    write_table(tmp_path, table(text_len=(500, 100)))
    recipe = {"process": [{"text_length_filter": {}}]}
    path = KSigmaRefiner(recipe, table_path=str(tmp_path / "overall.json")).run(job)
    assert yaml.safe_load(Path(path).read_text())["process"][0]["text_length_filter"]["min_len"] == 200
    with pytest.raises(JobError, match=r"no overall table at nowhere\.json"):
        KSigmaRefiner(recipe, table_path="nowhere.json").run(job)
    with pytest.raises(ConfigError, match="probe and table_path cannot both be set"):
        KSigmaRefiner(recipe, table_path="x", probe="y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is not the overall table"),
        ('{"text_len.std": 1}', "is not the overall table"),
        ('{"text_len.mean": "many"}', r"expected a number at 'text_len\.mean', got 'many'"),
    ],
)
def test_a_broken_table(job: JobRun, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "overall.json").write_text(text)
    with pytest.raises(JobError, match=message):
        KSigmaRefiner({"process": []}, table_path=str(tmp_path / "overall.json")).run(job)


def test_no_ops(job: JobRun, quiet: NullJob) -> None:
    quiet.watch(table(text_len=(1, 1)))
    with pytest.raises(JobError, match="no OPs to refine"):
        KSigmaRefiner({"dataset_path": "x"}).run(job)
    with pytest.raises(ConfigError, match="at least 0"):
        KSigmaRefiner({}, k=-1)


@given(
    values=st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=5),
    repeat=st.integers(1, 60),
)
def test_rounding_never_drops_the_rows_at_the_mean(values: list[float], repeat: int) -> None:
    """With k 0, a stat that is the same in all rows keeps all rows, whatever float its mean is rounded to."""
    (bound, *_) = [item for item in recipe_bounds([{"special_characters_filter": {}}]) if isinstance(item, RecipeBound)]
    for value in values:
        numbers = [value] * repeat
        mean = sum(numbers) / len(numbers)
        low, high = min(numbers), max(numbers)
        upper = dataclasses.replace(bound, side="max")
        assert bound.rounded(mean, low, high) <= value or value > 1  # a ratio is at most 1 unless the data are higher
        assert upper.rounded(mean, low, high) >= value


@given(st.lists(st.fractions(0, 1, max_denominator=1000), min_size=2, max_size=30))
def test_a_computed_bound_is_rounded_outward(fractions: list[Fraction]) -> None:
    numbers = [float(value) for value in fractions]
    mean = sum(numbers) / len(numbers)
    exact = float(sum(fractions) / len(fractions))
    bounds = [item for item in recipe_bounds([{"special_characters_filter": {}}]) if isinstance(item, RecipeBound)]
    lower, upper = sorted(bounds, key=lambda bound: bound.side, reverse=True)
    assert lower.rounded(mean, min(numbers), max(numbers)) <= exact <= upper.rounded(mean, min(numbers), max(numbers))


def test_k_0_keeps_a_constant_stat_through_data_juicer_defaults(job: JobRun, quiet: NullJob) -> None:
    stats = table(special_char_ratio=(0.1 + 0.2, 1e-17, 0.3, 0.3), text_len=(7.000000000000001, 0.0, 7, 7))
    process: list[Any] = [{"special_characters_filter": {}}, {"text_length_filter": {}}]
    made = refine(job, quiet, process, stats, k=0)
    assert made[0]["special_characters_filter"]["min_ratio"] <= 0.3 <= made[0]["special_characters_filter"]["max_ratio"]
    assert made[1]["text_length_filter"]["min_len"] <= 7 <= made[1]["text_length_filter"]["max_len"]


def test_a_default_that_still_drops_rows_is_named(job: JobRun, quiet: NullJob) -> None:
    quiet.watch(table(text_len=(500, 100, 2, 900)))
    recipe = {"dataset_path": "rows.jsonl", "process": [{"text_length_filter": {}}]}
    text = Path(KSigmaRefiner(recipe, side="upper").run(job)).read_text()
    assert "text_length_filter.min_len is not set; Data-Juicer's default 10 drops rows: text_len goes to 2" in text
