"""Inference behind a server that goes wrong on demand: what comes back, what is asked again, when it is given up."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="pip install -e '.[api]'")
from fault_server import Fault, FaultServer

from data_juicer_sandbox.components.infer.api import APIInference
from data_juicer_sandbox.errors import ConfigError, JobError

WAIT = 0.002


@pytest.fixture
def dataset(jsonl):
    return jsonl("d.jsonl", [{"query": f"q{n}", "n": n} for n in range(20)])


@pytest.fixture
def infer(job, tmp_path, dataset):
    """Ask a server; returns the rows."""

    def call(server, path=dataset, model="m", **given):
        settings = {"api_endpoint": server.url, "retry_wait": WAIT, **given}
        found = APIInference(model, path, str(tmp_path / "out"), **settings).run(job)
        return [json.loads(line) for line in Path(found).read_text().splitlines()]

    return call


def answers(rows):
    return [row["response"] for row in rows]


STRAIGHT = [f"answer to q{n}" for n in range(20)]


def test_every_row_is_asked_once_and_rows_keep_their_order(infer, quiet):
    with FaultServer(scripted={"q3": [Fault("slow")], "q0": [Fault("slow", seconds=0.2)]}) as server:
        rows = infer(server, price_per_million={"input": 100, "output": 1000}, max_concurrency=5)
    assert answers(rows) == STRAIGHT
    assert sorted(asked.prompt for asked in server.asked) == sorted(f"q{n}" for n in range(20))
    assert server.asked[0].body == {"model": "m", "messages": [{"role": "user", "content": server.asked[0].prompt}]}
    assert server.asked[0].headers["authorization"] == "Bearer none"
    seen = quiet.query("a_job")
    assert {key: seen[key] for key in ("rows", "failed", "prompt_tokens", "completion_tokens", "requests")} == {
        "rows": 20,
        "failed": 0,
        "prompt_tokens": 20,
        "completion_tokens": 60,
        "requests": 20,
    }
    assert seen["cost"] == pytest.approx((20 * 100 + 60 * 1000) / 1e6)


def test_as_many_at_once_as_allowed_over_connections_that_are_kept(infer):
    with FaultServer(latency=0.02) as server:
        infer(server, max_concurrency=4)
    assert (server.max_in_flight, server.connections) == (4, 4)


PASSING = (
    Fault(429),
    Fault(429, "0"),
    Fault(408),
    Fault(500),
    Fault(503, "0"),
    Fault("drop"),
    Fault("cut"),
)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: str(fault.kind))
def test_what_may_pass_is_tried_again(infer, quiet, fault):
    with FaultServer(scripted={"q2": [fault] * 2, "q7": [fault]}) as server:
        rows = infer(server)
    assert answers(rows) == STRAIGHT
    assert server.times == {**{f"q{n}": 1 for n in range(20)}, "q2": 3, "q7": 2}
    assert quiet.query("a_job")["retries"] == 3


@pytest.mark.parametrize("fault", [Fault("hang"), Fault("slow", seconds=60)], ids=lambda fault: fault.kind)
def test_what_takes_too_long_is_tried_again(infer, quiet, fault):
    with FaultServer(scripted={"q2": [fault], "q7": [fault]}) as server:
        rows = infer(server, model_params={"timeout": 1})
    assert answers(rows) == STRAIGHT
    assert min(server.times["q2"], server.times["q7"], quiet.query("a_job")["retries"]) >= 2


LASTING = (
    (Fault(400), "http_400", "fault 400 for q2"),
    (Fault(403), "http_403", "fault 403 for q2"),
    (Fault(422), "http_422", "fault 422 for q2"),
    (Fault(307), "http_307", "the server redirects to http://127.0.0.1:.*/v1/elsewhere, which is not followed"),
    (Fault("malformed"), "bad_reply", "the reply is not JSON"),
    (Fault("html"), "bad_reply", "the reply is not JSON.*It works!"),
    (Fault("no_choices"), "bad_reply", "choices.0.message.content is not in the reply"),
    (Fault("null"), "bad_reply", r"choices.0.message.content is null \(finish_reason: length\)"),
)


@pytest.mark.parametrize(("fault", "kind", "message"), LASTING, ids=lambda value: str(getattr(value, "kind", "")))
def test_what_lasts_marks_its_row_and_is_not_tried_again(infer, fault, kind, message):
    with FaultServer(scripted={"q2": [fault] * 9}) as server:
        rows = infer(server, max_concurrency=1)
    error = rows[2]["infer_error"]
    assert error["kind"] == kind
    assert re.search(message, error["message"])
    assert answers(rows) == [None if n == 2 else text for n, text in enumerate(STRAIGHT)]
    assert set(server.times.values()) == {1}


@pytest.mark.parametrize(("fault", "kind"), [(Fault(500), "http_500"), (Fault("hang"), "timeout")])
def test_retries_come_to_an_end(infer, quiet, fault, kind):
    with FaultServer(scripted={"q2": [fault] * 9}) as server:
        rows = infer(server, max_retry_num=2, model_params={"timeout": 1}, max_concurrency=4)
    assert server.times["q2"] == 3
    assert rows[2]["infer_error"]["kind"] == kind
    assert rows[2]["infer_error"]["message"].endswith("(3 attempts)")
    assert quiet.query("a_job")["failed"] == 1


def test_whatever_goes_wrong_at_random_all_is_answered_in_the_end(infer, jsonl, quiet):
    path = jsonl("many.jsonl", [{"query": f"q{n}"} for n in range(400)])
    shares = {Fault(500): 0.1, Fault("drop"): 0.05, Fault("cut"): 0.05, Fault(429, "0"): 0.03, Fault("slow"): 0.02}
    with FaultServer(shares=shares, seed=3) as server:
        rows = infer(server, path, max_concurrency=16, max_retry_num=9)
    assert answers(rows) == [f"answer to q{n}" for n in range(400)]
    assert all(count == 1 for prompt, count in server.answered.items() if server.times[prompt] == 1)
    assert quiet.query("a_job")["requests"] == 400 + quiet.query("a_job")["retries"] == len(server.asked)


def test_a_server_that_allows_little_is_asked_less_at_once(infer):
    with FaultServer(latency=0.005, most=2) as server:
        rows = infer(server, max_concurrency=16, max_retry_num=9)
    assert answers(rows) == STRAIGHT
    assert max(asked.in_flight for asked in server.asked[-10:]) <= 6


@pytest.mark.parametrize("status", [401, 404])
def test_what_no_row_will_get_past_ends_the_job_at_once(infer, tmp_path, status):
    with FaultServer(always=Fault(status)) as server:
        with pytest.raises(JobError, match=rf"http://127.*/v1 returns status {status}: fault") as caught:
            infer(server, max_concurrency=3)
        assert len(server.asked) <= 3
        assert caught.value.hint is not None
        assert {401: "OPENAI_API_KEY", 404: "/v1"}[status] in caught.value.hint
        server.always = None
        assert answers(infer(server)) == STRAIGHT


def test_a_key_that_is_withdrawn_midway_ends_the_job_and_nothing_is_lost(infer):
    late = {f"q{n}": [Fault(401)] for n in range(5, 20)}
    with FaultServer(scripted=late) as server:
        with pytest.raises(JobError, match="returns status 401"):
            infer(server, max_concurrency=1)
        assert len(server.asked) == 5 + 10
        rows = infer(server, max_concurrency=1)
        assert server.times["q4"] == 1
        assert [row["n"] for row in rows if row["response"] is None] == list(range(15, 20))


def test_a_server_that_is_not_there(infer, jsonl, tmp_path, job):
    with FaultServer() as server:
        pass
    path = jsonl("many.jsonl", [{"query": f"q{n}"} for n in range(200)])
    with pytest.raises(JobError, match=r"the first 1\d\d requests all failed; .*: connection: .*Connect call"):
        infer(server, path, max_retry_num=1)


def test_no_money_and_no_patience(infer):
    with FaultServer(always=Fault(429, code="insufficient_quota")) as server:
        with pytest.raises(JobError, match=r"rejects requests.*quota is exhausted"):
            infer(server)
        server.always = Fault(429, "86400")
        with pytest.raises(JobError, match="requests a wait of 86,400 s"):
            infer(server)


def test_everything_given_reaches_the_request(infer, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "not-a-real-key-1")
    with FaultServer() as server:
        rows = infer(
            server,
            api_key_env="LAB_KEY",
            max_rows=2,
            model_params={"default_headers": {"X-Team": "lab"}, "default_query": {"v": "1"}, "organization": "org"},
            sampling_params={
                "temperature": 0.5,
                "n": 2,
                "stop": ["\n"],
                "extra_body": {"top_k": 3},
                "extra_headers": {"X-More": "yes"},
            },
            func_kwargs={"system_prompt": "be ä"},
        )
    assert answers(rows) == [["answer to q0", "answer to q0 #1"], ["answer to q1", "answer to q1 #1"]]
    asked = server.asked[0]
    assert asked.path == "/v1/chat/completions?v=1"
    assert asked.headers["authorization"] == "Bearer not-a-real-key-1"
    assert (asked.headers["x-team"], asked.headers["x-more"]) == ("lab", "yes")
    assert asked.headers["openai-organization"] == "org"
    assert asked.body["messages"][0] == {"role": "system", "content": "be ä"}
    assert {key: asked.body[key] for key in ("temperature", "n", "stop", "top_k")} == {
        "temperature": 0.5,
        "n": 2,
        "stop": ["\n"],
        "top_k": 3,
    }


def test_plain_completions_and_a_path_of_ones_own(infer, tmp_path):
    with FaultServer() as server:
        assert answers(infer(server, endpoint="completions")) == STRAIGHT
        assert server.asked[0].path == "/v1/completions"
        assert server.asked[0].body["prompt"] == server.asked[0].prompt
        rows = infer(server, response_path="usage", parse_output_func="json.loads")
        assert rows[0]["response"] == {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}


def test_no_key_for_the_server_that_wants_one(job, dataset, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(JobError, match=r"there is no key for https://api.openai.com/v1 \(export MY_KEY=") as caught:
        APIInference("m", dataset, str(tmp_path / "out"), api_key_env="MY_KEY").run(job)
    assert not isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"api_endpoint": "localhost:8000"}, "is not a URL"),
        ({"api_endpoint": "http://a/v1", "model_params": {"base_url": "http://b/v1"}}, "differ"),
        ({"model_params": {"max_retries": 3}}, "max_retry_num"),
        ({"sampling_params": {"stream": True}}, "streaming is not supported"),
        ({"sampling_params": {"n": 2}, "response_path": "text"}, "needs a 0 as the index"),
    ],
)
def test_configs_that_cannot_be(dataset, tmp_path, given, said):
    with pytest.raises(ConfigError, match=said):
        APIInference("m", dataset, str(tmp_path / "out"), **given)


def test_model_params_the_client_does_not_know(infer):
    with FaultServer() as server, pytest.raises(JobError, match=r"rejects model_params.*colour"):
        infer(server, model_params={"colour": "red"})


def test_asking_logs_no_prompts(infer, caplog):
    with caplog.at_level(logging.DEBUG), FaultServer() as server:
        infer(server, model_params={"api_key": "k-" + "x1" * 12})
    assert "x1x1" not in caplog.text
    assert "q13" not in caplog.text
