from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import model_server
import pytest

from data_juicer_sandbox.errors import JobError, MissingDependency
from data_juicer_sandbox.tools.serve_gguf import main, serve

needs_library = pytest.mark.skipif("xllamacpp" in model_server.MISSING, reason=model_server.REASON)


def test_the_library_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingDependency, match=r"'xllamacpp' is not installed \(pip install xllamacpp\)"):
        serve(tmp_path / "model.gguf")


def test_there_is_no_model(capsys):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main(["no_such_package"]) == 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capsys.readouterr().out == ""


@needs_library
def test_what_cannot_be_served(tmp_path):
    empty = tmp_path / "empty.gguf"
    empty.touch()
    with pytest.raises(JobError, match=r"empty\.gguf cannot be served"):
        serve(empty, port=0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(JobError, match=r"port \d+ is not available: .*\(--port with another number\)"):
            serve(empty, port=taken.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(bool(model_server.MISSING), reason=model_server.REASON)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_ends_on_a_signal(number):
    command = [sys.executable, "-m", "data_juicer_sandbox.tools.serve_gguf", model_server.PACKAGE, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        body = {"model": "any", "prompt": "The capital of France is", "max_tokens": 4, "temperature": 0}
        request = urllib.request.Request(
            f"{address}/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            assert "Paris" in json.load(reply)["choices"][0]["text"]
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "SmolLM2-135M-Instruct.Q4_1.gguf is served" in said
    assert "Traceback" not in said
