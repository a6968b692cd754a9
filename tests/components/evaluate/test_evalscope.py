from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.evalscope import EvalScope
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import ConfigError, JobError

PYTHON = os.environ.get("DJ_TEST_EVALSCOPE_PYTHON")
runs = pytest.mark.skipif(PYTHON is None, reason="DJ_TEST_EVALSCOPE_PYTHON names no interpreter that has EvalScope")
KEY = "a-key-that-nobody-may-see"


def test_what_cannot_be_asked_is_said(job, tmp_path):
    with pytest.raises(ConfigError, match="`data_path` and `subsets` must be set together"):
        EvalScope("m", "general_qa", data_path="x")
    with pytest.raises(ConfigError, match="is for general_qa and general_mcq, not for arc"):
        EvalScope("m", "arc", data_path="x", subsets=["a"])
    with pytest.raises(JobError, match="cannot run"):
        EvalScope("m", "arc", python=str(tmp_path / "nowhere")).run(job)


def test_arguments_of_the_user_are_left_alone():
    given = {"general_qa": {"few_shot_num": 0}}
    made = EvalScope("m", "general_qa", data_path="x", subsets=["a"], dataset_args=given)
    assert given == {"general_qa": {"few_shot_num": 0}}
    wanted = {"few_shot_num": 0, "local_path": "x", "subset_list": ["a"]}
    assert made.request["options"]["dataset_args"]["general_qa"] == wanted


class Knows(BaseHTTPRequestHandler):
    """Answers every multiple choice with A, and says back what it was asked otherwise."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"]
        text = text if isinstance(text, str) else text[0]["text"]
        said = "答案：A" if "A)" in text else text
        self.server.seen.append((asked["model"], self.headers["Authorization"]))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": asked["model"], "choices": [choice]}
        content = json.dumps({**body, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Knows) as served:
        served.seen = []
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


@pytest.fixture
def questions(jsonl):
    """Of multiple choice, three of four answered with A."""
    rows = [{"question": f"Number {n}?", "A": "one", "B": "two", "answer": "B" if n == 2 else "A"} for n in range(4)]
    return str(Path(jsonl("questions/own_val.jsonl", rows)).parent)


@pytest.mark.slow
@runs
def test_questions_of_ones_own_put_to_a_server(server, questions, job, quiet, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    made = EvalScope(
        "big",
        "general_mcq",
        questions,
        ["own"],
        api_endpoint=f"http://127.0.0.1:{server.server_port}/v1",
        api_key_env="SOME_KEY",
        python=PYTHON,
        log_samples=True,
    )
    (score,) = made.run(job)
    metrics = {key: value for key, value in score.items() if isinstance(value, float)}
    assert (score["model"], score["dataset"], score["samples"]) == ("big", "general_mcq", 4)
    assert list(metrics.values()) == [0.75]
    assert quiet.query("a_job")["big"]["general_mcq"] == metrics
    assert server.seen == [("big", f"Bearer {KEY}")] * 4
    (samples,) = job.folder.iterdir()
    assert len(list(read_rows(samples))) == 4
    assert KEY not in samples.read_text()


@pytest.mark.slow
@runs
def test_free_answers(server, jsonl, job):
    rows = [{"query": "one two three four", "response": "one two three four"}]
    folder = str(Path(jsonl("qa/own.jsonl", rows)).parent)
    endpoint = f"http://127.0.0.1:{server.server_port}/v1"
    (score,) = EvalScope(
        "big",
        "general_qa",
        folder,
        ["own"],
        api_endpoint=endpoint,
        python=PYTHON,
        dataset_args={"general_qa": {"metric_list": ["Rouge"]}},
    ).run(job)
    assert score["samples"] == 1
    assert score["rouge_l_recall"] == score["rouge_1_precision"] == 1.0


@pytest.mark.slow
@runs
def test_a_local_model(questions, job, tmp_path, docstrings):
    torch = pytest.importorskip("torch")
    from transformers import GPT2Config, GPT2LMHeadModel

    from data_juicer_sandbox.components.train.methods import train_tokenizer

    tokenizer = train_tokenizer(docstrings[:50], 300)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=300, n_positions=1024, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    folder = tmp_path / "tiny"
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    made = EvalScope(
        str(folder),
        "general_mcq",
        questions,
        ["own"],
        python=PYTHON,
        limit=2,
        threads=1,
        model_args={"precision": "torch.float32", "device_map": "cpu"},
        generation_config={"max_tokens": 4, "do_sample": False},
    )
    (score,) = made.run(job)
    assert score["samples"] == 2
    assert score["model"] == str(folder)
    assert list(job.folder.iterdir()) == []
