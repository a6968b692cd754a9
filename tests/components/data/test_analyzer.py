from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data.analyzer import DataJuicerAnalyzer
from data_juicer_sandbox.components.data.overall_table import overall_values
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import JobError

ROWS = ("count", "mean", "std", "min", "25%", "50%", "75%", "max")


def test_stats_are_those_of_py_data_juicer(
    dataset: str, process: list[Any], job: JobRun, quiet: NullJob, tmp_path: Path, plain: Path
) -> None:
    recipe = {"dataset_path": dataset, "process": process, "np": 2}
    path = DataJuicerAnalyzer({**recipe, "export_path": str(tmp_path / "out/rows.jsonl")}).run(job)
    assert path == str(tmp_path / "out/rows_a_job_analyzed.jsonl")
    rows = list(read_rows(path))
    given = list(read_rows(dataset))
    assert [{key: row[key] for key in ("text", "meta")} for row in rows] == given
    plain_stats = list(read_rows(plain / "rows_stats.jsonl"))
    for row, theirs in zip(rows, plain_stats, strict=True):  # py-data-juicer cuts floats after ten decimals
        assert row["__dj__stats__"] == pytest.approx(theirs["__dj__stats__"], abs=1e-10)
    values = quiet.values[-1][1]
    table = json.loads((plain / "table.json").read_text())
    assert set(table) == {"text_len", "num_words", "special_char_ratio"}
    for stat, column in table.items():
        assert list(column) == list(ROWS)
        for row, value in column.items():
            assert values[f"{stat}.{row}"] == pytest.approx(value, rel=1e-9)
    assert values["rows_in"] == 120
    assert json.loads((job.folder / "overall.json").read_text()) == {key: values[key] for key in values if "." in key}
    assert (job.folder / "overall.csv").read_text().startswith(",text_len,num_words,special_char_ratio\n")
    assert (job.folder / "data_juicer/analysis/overall.md").is_file()
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["rows_a_job_analyzed.jsonl"]


def test_two_probes_of_one_recipe_do_not_meet(dataset: str, process: list[Any], job: JobRun, tmp_path: Path) -> None:
    recipe = {"dataset_path": dataset, "process": process[:1], "np": 1}
    assert DataJuicerAnalyzer(recipe).run(job) == str(job.folder / "a_job_analyzed.jsonl")
    other = dataclasses.replace(job, name="after/it")
    path = DataJuicerAnalyzer({**recipe, "export_path": str(tmp_path / "x.jsonl")}).run(other)
    assert path == str(tmp_path / "x_after_it_analyzed.jsonl")


def test_without_a_filter_there_is_nothing_to_analyse(dataset: str, job: JobRun) -> None:
    with pytest.raises(JobError, match="no OP that computes stats"):
        DataJuicerAnalyzer({"dataset_path": dataset, "process": [{"clean_email_mapper": None}], "np": 1}).run(job)
    assert not list(job.folder.glob("*.jsonl"))


@pytest.mark.slow
def test_figures_on_request(dataset: str, process: list[Any], job: JobRun) -> None:
    pytest.importorskip("matplotlib")
    recipe = {"dataset_path": dataset, "process": process[:1], "np": 1}
    analysis = job.folder / "data_juicer/analysis"
    DataJuicerAnalyzer(recipe).run(job)
    assert sorted(file.name for file in analysis.iterdir()) == ["overall.csv", "overall.md"]
    DataJuicerAnalyzer(recipe, plots=True).run(job)
    assert "text_len-hist.png" in {file.name for file in analysis.iterdir()}


def test_stats_that_are_words_or_lists() -> None:
    import pandas as pd

    table = pd.DataFrame(
        {"lang": [4, 2, "en", None], "width": [4.0, None, None, 7]}, index=["count", "unique", "top", "mean"]
    )
    assert overall_values(table) == {"lang.count": 4.0, "lang.unique": 2.0, "width.count": 4.0, "width.mean": 7.0}
