"""Probe, refine, process: what k-sigma says is what Data-Juicer does."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data.analyzer import DataJuicerAnalyzer
from data_juicer_sandbox.components.data.executor import DataJuicerExecutor
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.refine.k_sigma import KSigmaRefiner


def test_rows_beyond_k_sigma_go(job: JobRun, quiet: NullJob, jsonl: Callable[..., str], tmp_path: Path) -> None:
    rng = random.Random(2)
    lengths = [round(rng.gauss(200, 20)) for _ in range(150)] + [2, 900]
    data = jsonl("rows.jsonl", [{"text": "a" * length} for length in lengths])
    recipe: dict[str, Any] = {"dataset_path": data, "process": [{"text_length_filter": {}}], "np": 1}
    DataJuicerAnalyzer(recipe).run(job)
    mean, sigma = quiet.query("a_job")["text_len.mean"], quiet.query("a_job")["text_len.std"]
    refined = yaml.safe_load(Path(KSigmaRefiner(recipe, k=2).run(job)).read_text())
    kept = DataJuicerExecutor({**refined, "export_path": str(tmp_path / "kept.jsonl")}).run(job)
    expected = [length for length in lengths if int(mean - 2 * sigma) <= length <= mean + 2 * sigma + 1]
    assert [len(row["text"]) for row in read_rows(kept)] == expected
    assert 2 not in expected
    assert 900 not in expected
