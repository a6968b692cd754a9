"""A real language model behind a real OpenAI-compatible server: SmolLM2-135M in llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="pip install -e '.[api]'")
import model_server

from data_juicer_sandbox.components.infer.api import APIInference

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(model_server.MISSING), reason=model_server.REASON),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with model_server.serving() as found:
        yield found


ASKING = {"chat": "Tell me about {}.", "completions": "Once upon a time there was a little girl who loved {}, and"}


@pytest.mark.parametrize("endpoint", list(ASKING))
def test_a_model_answers(address, job, jsonl, tmp_path, quiet, endpoint):
    words = ("water", "music", "bread", "the moon", "a horse", "paper")
    path = jsonl("d.jsonl", [{"query": ASKING[endpoint].format(word), "word": word} for word in words])
    settings = {
        "api_endpoint": address,
        "endpoint": endpoint,
        "sampling_params": {"max_tokens": 8, "temperature": 0, "seed": 1},
        "max_concurrency": 4,
        "price_per_million": {"input": 1, "output": 2},
    }
    runs = []
    for name in ("first", "second"):
        found = APIInference("SmolLM2", path, str(tmp_path / name), **settings).run(job)
        runs.append([json.loads(line) for line in Path(found).read_text().splitlines()])
    for rows in runs:
        assert [row["word"] for row in rows] == list(words)
        assert all(row["response"] for row in rows), rows
    assert sum(row["response"].isascii() for row in runs[0]) >= 4
    same = sum(one["response"] == other["response"] for one, other in zip(*runs, strict=True))
    assert same >= 4  # batches of other sizes may round differently
    seen = quiet.query("a_job")
    assert 0 < seen["completion_tokens"] <= 8 * 6
    assert seen["prompt_tokens"] > seen["completion_tokens"]
    assert seen["cost"] == pytest.approx((seen["prompt_tokens"] + 2 * seen["completion_tokens"]) / 1e6)
