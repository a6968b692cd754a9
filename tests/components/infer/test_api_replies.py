"""Replies and addresses that mislead: errors with status 200, incomplete answers, huge bodies, keys in the address."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

pytest.importorskip("openai", reason="pip install 'data-juicer-sandbox[api]'")
from fault_server import Fault, FaultServer

from data_juicer_sandbox.components.infer.api import APIInference
from data_juicer_sandbox.components.infer.remote.address import header_fault, parse_address
from data_juicer_sandbox.components.infer.remote.transport import MAX_REPLY, TooLarge, decompress
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import mask_text


@pytest.fixture
def infer(job, tmp_path, jsonl):
    """Send five rows to a server; returns the rows with their answers."""
    dataset = jsonl("d.jsonl", [{"query": f"q{number}"} for number in range(5)])

    def call(server, **settings):
        settings = {"api_endpoint": server.url, "retry_wait": 0.002, "max_concurrency": 1, **settings}
        path = APIInference("m", dataset, str(tmp_path / "out"), **settings).run(job)
        return [json.loads(line) for line in Path(path).read_text().splitlines()]

    return call


@pytest.fixture
def log_file(tmp_path):
    """The log file of a run, as the run writes it."""
    from data_juicer_sandbox.terminal import logs

    logs.setup(tmp_path / "sandbox.log", debug=False, file_only=True)
    yield tmp_path / "sandbox.log"
    logs.close()


def raw(content, status=200, head=""):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Fault("raw", status=status, body=body, head=head)


def finished(reason, text="half an answ"):
    return raw({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}]})


def errors(rows):
    return {row["query"]: row["infer_error"] for row in rows if "infer_error" in row}


def test_an_error_in_a_reply_with_status_200_keeps_the_words_of_the_server(infer):
    with FaultServer(
        scripted={"q1": [raw({"error": {"message": "the model fell over", "type": "oops"}})] * 9}
    ) as server:
        rows = infer(server)
    (error,) = errors(rows).values()
    assert error == {
        "kind": "bad_reply",
        "message": "the server reports an error with status 200: the model fell over",
    }
    assert rows[1]["response"] is None
    assert server.times["q1"] == 1


@pytest.mark.parametrize("code", [429, "503"])
def test_an_error_with_a_status_in_a_reply_with_status_200_is_treated_like_that_status(infer, code):
    busy = raw({"error": {"message": "busy", "code": code}})
    with FaultServer(scripted={"q1": [busy, busy], "q2": [raw({"error": {"message": "no", "code": 400}})]}) as server:
        rows = infer(server)
    assert rows[1]["response"] == "answer to q1"
    assert server.times["q1"] == 3
    assert errors(rows) == {"q2": {"kind": "http_400", "message": "no"}}


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_incomplete_answer_is_marked_and_counted(infer, quiet, reason):
    with FaultServer(scripted={"q1": [finished(reason)]}) as server:
        rows = infer(server)
    assert rows[1] == {"query": "q1", "response": "half an answ", "infer_incomplete": reason}
    assert not any("infer_incomplete" in row for row in rows if row["query"] != "q1")
    assert (quiet.query("a_job")["incomplete"], quiet.query("a_job")["failed"]) == (1, 0)


def test_an_incomplete_answer_fails_its_row_on_request(infer, quiet):
    with FaultServer(scripted={"q1": [finished("length")]}) as server:
        rows = infer(server, fail_incomplete=True)
    assert errors(rows) == {"q1": {"kind": "incomplete", "message": "the answer is not complete: length"}}
    assert (quiet.query("a_job")["incomplete"], quiet.query("a_job")["failed"]) == (0, 1)


def test_the_incomplete_ones_of_several_samples_are_told_apart(infer):
    choices = [
        {"message": {"content": "a"}, "finish_reason": "stop"},
        {"message": {"content": "b"}, "finish_reason": "length"},
    ]
    with FaultServer(always=raw({"choices": choices})) as server:
        rows = infer(server, sampling_params={"n": 2})
    assert rows[0] == {"query": "q0", "response": ["a", "b"], "infer_incomplete": [None, "length"]}


@pytest.mark.parametrize("status", [200, 403, 429])
@pytest.mark.parametrize("key", ["type", "code"])
def test_an_exhausted_quota_ends_the_job_at_once(infer, status, key):
    fault = raw({"error": {"message": "pay first", key: "insufficient_quota"}}, status)
    with FaultServer(always=fault) as server, pytest.raises(JobError, match=r"pay first \(the quota is exhausted"):
        infer(server)
    assert len(server.asked) == 1


def test_a_huge_reply_is_read_only_up_to_the_limit(infer):
    body = b"{" + b" " * (MAX_REPLY + 1)
    with FaultServer(scripted={"q1": [raw(body)] * 9}) as server:
        rows = infer(server)
    assert errors(rows) == {"q1": {"kind": "bad_reply", "message": "the reply has more than 32 MB"}}
    assert server.times["q1"] == 1


def test_a_compressed_reply_is_unfolded_only_up_to_the_limit(infer):
    packed = gzip.compress(b" " * 300_000_000, 1)
    assert len(packed) < 2_000_000
    with FaultServer(scripted={"q1": [raw(packed, head="Content-Encoding: gzip\r\n")] * 9}) as server:
        tracemalloc.start()
        rows = infer(server)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert errors(rows) == {"q1": {"kind": "bad_reply", "message": "the reply unfolds to more than 32 MB"}}
    assert peak < 4 * MAX_REPLY


def test_a_compressed_reply_is_read(infer):
    answer = json.dumps({"choices": [{"message": {"content": "packed"}}]}).encode()
    with FaultServer(always=raw(gzip.compress(answer), head="Content-Encoding: gzip\r\n")) as server:
        rows = infer(server)
    assert {row["response"] for row in rows} == {"packed"}


@given(st.binary(max_size=200))
def test_any_bytes_can_be_decompressed(body):
    import zlib

    assert decompress(gzip.compress(body), "gzip") == body
    assert decompress(zlib.compress(body), "deflate") == body
    assert decompress(zlib.compress(body)[2:-4], "deflate") == body
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_juicer_sandbox.components.infer.remote.transport.MAX_REPLY", max(0, len(body) - 1))
        if body:
            with pytest.raises(TooLarge):
                decompress(gzip.compress(body), "gzip")


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("depth", [900, 200_000])
def test_deep_brackets_fail_the_row_only(infer, status, depth):
    nested = b'{"error": ' + b"[" * depth + b"]" * depth + b"}"
    with FaultServer(scripted={"q1": [raw(nested, status)] * 9}) as server:
        rows = infer(server)
    assert list(errors(rows)) == ["q1"]
    assert [row["response"] for row in rows].count(None) == 1


def test_the_words_of_a_server_cannot_imitate_a_log_line_or_control_the_terminal(infer, log_file):
    message = "no\n2026-11-26 19:00:00.000 | INFO     | all is well\x1b[2J\r\u2028\u202e"
    with FaultServer(always=raw({"error": {"message": message}}, 400)) as server, pytest.raises(JobError) as raised:
        infer(server)
    logger.error("{}", raised.value)
    logger.warning("{}", message)
    text = log_file.read_text()
    assert not any(line.startswith("2026-11-26 19:00:00.000") for line in text.splitlines())
    for shown in (text, str(raised.value)):
        assert "\x1b" not in shown
        assert "\u2028" not in shown
        assert "\\x1b[2J" in shown
    assert "\n" not in str(raised.value)


SECRET = "p4ss-w0rd-of-the-user"


def test_credentials_in_the_address_are_sent_as_basic_authentication_and_masked(infer, log_file, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-key-of-another-server-123456")
    with FaultServer(scripted={"q1": [Fault(400)] * 9}) as server:
        rows = infer(server, api_endpoint=server.url.replace("://", f"://user:{SECRET}@"))
    assert rows[0]["response"] == "answer to q0"
    expected = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert {request.headers["authorization"] for request in server.asked} == {expected}
    assert SECRET not in log_file.read_text()
    assert expected[6:] not in json.dumps(rows)  # the server repeats the header in its error
    assert mask_text(f"failed with {SECRET}") == "failed with ***"


def test_a_key_and_credentials_in_the_address_exclude_each_other():
    with pytest.raises(ConfigError, match="api_key and the user name in the address cannot both be sent"):
        APIInference("m", "d.jsonl", "out", api_endpoint="http://user:pw@host/v1", api_key="k")


def test_a_query_in_the_address_is_sent_with_every_request(infer):
    with FaultServer() as server:
        rows = infer(server, api_endpoint=f"{server.url}?api_key=query-key-123&api-version=2")
    assert rows[0]["response"] == "answer to q0"
    assert {request.path for request in server.asked} == {
        "/v1/chat/completions?api_key=query-key-123&api-version=2",
    }


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://", "has no host"),
        ("http://host:99999/v1", "Port out of range"),
        ("http://host:0/v1", "has port 0"),
        ("http://host:abc/v1", "is not a URL"),
        ("http://[::1/v1", "is not a URL"),
        ("ftp://host/v1", "begins with http"),
        ("localhost:8000/v1", "begins with http"),
        ("http://host/v1 ", "a space"),
        ("http://ho\nst/v1", "a control character"),
        ("http://host/v1#x", "a fragment"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_the_run(address, reason):
    with pytest.raises(ConfigError, match=reason):
        APIInference("m", "d.jsonl", "out", api_endpoint=address)


def test_an_address_that_cannot_be_used_in_the_environment(infer, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://host:99999/v1")
    with FaultServer() as server, pytest.raises(JobError, match=r"Port out of range.*OPENAI_BASE_URL"):
        infer(server, api_endpoint=None)


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"))),
)
def test_any_user_and_password_can_be_written_in_an_address(user, password):
    from urllib.parse import quote

    address = parse_address(f"http://{quote(user, safe='')}:{quote(password, safe='')}@host:80/v1?a=b")
    assert (address.url, address.credentials) == ("http://host:80/v1", (user, password))
    assert address.query == {"a": "b"}
    assert address.authorization == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    assert repr(address) == "Address(url='http://host:80/v1')"


BAD_KEYS = ["sk-abcdefgh12345678\n", "sk-abc\u2019defgh12345678", "sk-abcdefgh12345678 "]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_cannot_be_sent_is_named_but_not_shown(infer, monkeypatch, key):
    with pytest.raises(ConfigError, match="api_key cannot be sent: ") as config:
        APIInference("m", "d.jsonl", "out", api_key=key)
    monkeypatch.setenv("MY_KEY", key)
    with FaultServer() as server, pytest.raises(JobError, match="environment variable MY_KEY cannot be sent") as raised:
        infer(server, api_key_env="MY_KEY")
    assert "12345678" not in f"{config.value} {raised.value}"
    assert not server.asked


def test_a_header_that_cannot_be_sent_is_named(infer):
    with FaultServer() as server:
        with pytest.raises(JobError, match=r"the header 'X-Team' cannot be sent: its character 2 is '\\u2019'"):
            infer(server, model_params={"default_headers": {"X-Team": "a\u2019b"}})
        with pytest.raises(JobError, match="the header 'X-Run' cannot be sent"):
            infer(server, sampling_params={"extra_headers": {"X-Run": "a\nb"}})


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)))
def test_printable_ascii_can_be_sent(value):
    assert header_fault(value) is None


def test_this_machine_is_not_reached_through_a_proxy_and_another_is_with_a_word(infer, monkeypatch, log_file):
    import socket

    with FaultServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with FaultServer() as server:
            for host in ("127.0.0.1", "0.0.0.0", "localhost"):
                infer(server, api_endpoint=server.url.replace("127.0.0.1", host))
            try:
                own_address = socket.gethostbyname(socket.gethostname())
            except OSError:
                own_address = ""
            if own_address == "127.0.0.1":
                infer(server, api_endpoint=server.url.replace("127.0.0.1", socket.gethostname()))
            assert len(server.asked) >= 15
        assert not proxy.asked
        rows = infer(proxy, api_endpoint="http://api.example.org/v1")
        assert rows[0]["response"] == "answer to q0"
        assert proxy.asked[0].path == "http://api.example.org/v1/chat/completions"
    assert "requests to http://api.example.org/v1 are sent through the proxy http://127.0.0.1" in log_file.read_text()
