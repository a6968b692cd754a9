"""Data for tests of Data-Juicer's components: made here, seeded."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROCESS: list[dict[str, Any]] = [
    {"text_length_filter": {"min_len": 40}},
    {"words_num_filter": {"min_num": 1, "max_num": 1000}},
    {"special_characters_filter": {"max_ratio": 0.6}},
]


def made_rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    words = ["alpha", "beta", "été", "(x+1)", "42", "return", "数据", "model"]
    return [
        {
            "text": " ".join(rng.choice(words) for _ in range(rng.randint(1, 60))),
            "meta": {"id": number, "score": number % 17},
        }
        for number in range(count)
    ]


@pytest.fixture
def process() -> list[dict[str, Any]]:
    return json.loads(json.dumps(PROCESS))


@pytest.fixture
def dataset(jsonl: Callable[..., str]) -> str:
    """120 rows."""
    return jsonl("data/rows.jsonl", made_rows(120))


_PLAIN = """
import json, sys
from data_juicer.config import get_init_configs
from data_juicer.core import Analyzer, DefaultExecutor
import data_juicer.core.analyzer as module

class Nothing:
    def __init__(self, *_, **__): pass
    def analyze(self, *_, **__): pass

module.ColumnWiseAnalysis = module.CorrelationAnalysis = Nothing  # figures, which take time and matplotlib
recipe = json.loads(sys.argv[1])
DefaultExecutor(get_init_configs({**recipe, "export_path": "kept.jsonl"})).run()
analyzer = Analyzer(get_init_configs({**recipe, "export_path": "rows.jsonl"}))
analyzer.run()
analyzer.overall_result.to_json("table.json")
"""


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What py-data-juicer makes of `dataset` and `process` without us: `kept`, `kept_stats`, `rows_stats`, `table`."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "given.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made_rows(120)))
    recipe = {"dataset_path": str(folder / "given.jsonl"), "process": PROCESS, "np": 2}
    command = [sys.executable, "-c", _PLAIN, json.dumps(recipe)]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-4000:]
    return folder


class Recorder:
    """A job's progress that keeps what was shown."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, float | None]] = []
        self.done: dict[str, float] = {}

    @contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Recorder._Task]:
        self.tasks.append((description, total))
        yield Recorder._Task(self, description)

    class _Task:
        def __init__(self, recorder: Recorder, name: str):
            self.recorder, self.name = recorder, name

        def advance(self, amount: float = 1) -> None:
            self.recorder.done[self.name] = self.recorder.done.get(self.name, 0) + amount

        def update(self, **_: Any) -> None:
            pass


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
