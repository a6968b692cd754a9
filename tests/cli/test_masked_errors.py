"""A long key in a config, a server's refusal or a program's output: no part of it is shown or stored."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY = "sk-" + "".join(f"{number:03x}Q" for number in range(40))
OPAQUE = "".join(f"{number:02x}z" for number in range(30, 70))
"""A key that is known only by the name of what it stands under."""
STORED = ("*.log", "*.json", "*.jsonl", "*.html", "*.yaml", "*.csv", "*.journal")


def parts_of(secret: str) -> list[str]:
    return [secret[start : start + 8] for start in range(0, len(secret) - 8)]


def assert_hidden(texts: list[str], secret: str = KEY) -> None:
    assert texts
    for text in texts:
        assert not [part for part in parts_of(secret) if part in text]


def stored(work_dir: Path) -> list[str]:
    return [path.read_text() for pattern in STORED for path in work_dir.rglob(pattern)]


@contextmanager
def refusing(body: bytes, status: int) -> Iterator[str]:
    """A server that refuses every request with this body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


BODIES = ['{{"error": {{"message": "{}"}}}}', '{{"error": "{}"}}', '{{"detail": ["{}"]}}', "{}"]


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("before", [120, 300])
@pytest.mark.parametrize(
    "form", ['{{"error": {{"message": "{}"}}}}', '{{"error": "{}"}}', '{{"detail": ["{}"]}}', "{}"]
)
def test_a_server_that_repeats_the_key(config_file, dj_sandbox, tmp_path, form, before, status):
    pytest.importorskip("openai", reason="pip install -e '.[api]'")
    (tmp_path / "d.jsonl").write_text('{"query": "a"}\n')
    output = "x" * (before - 30) + " the key is wrong: " + KEY + ", " + "y" * 300
    with refusing(form.format(output).encode(), status) as url:
        settings = {
            "type": "api",
            "model": "m",
            "api_endpoint": url,
            "dataset_path": "d.jsonl",
            "export_path": "answers",
        }
        config_file(
            {"work_dir": "out", "execution_job_configs": [{"hook": "InferModelHook", "extra_configs": settings}]}
        )
        completed = dj_sandbox("--config", "sandbox.yaml")
    assert completed.returncode == 1
    assert_hidden([completed.stderr, *stored(tmp_path)])


@pytest.mark.parametrize("secret", [KEY, OPAQUE])
def test_a_program_that_prints_the_key(config_file, dj_sandbox, tmp_path, secret):
    code = (
        "import sys; [print('x' * n + ' ' + sys.argv[2] + ' y') for n in (400, 470, 490, 499, 1900, 1990)]; sys.exit(3)"
    )
    settings = {"type": "command", "argv": ["python", "-c", code, "--api-key", secret], "result": "d"}
    job = {"hook": "TrainModelHook", "meta_name": "train", "extra_configs": settings}
    config_file({"work_dir": "out", "execution_job_configs": [job]})
    completed = dj_sandbox("--config", "sandbox.yaml")
    assert completed.returncode == 1
    assert "ended with status 3" in completed.stderr
    assert_hidden([completed.stderr, *stored(tmp_path / "out")], secret)


def test_a_line_that_is_cut_into_pieces_within_the_key(config_file, dj_sandbox, tmp_path):
    code = f"print('x ' * {(1 << 15) - 20} + {KEY!r} + ' y' * 40000)"
    settings = {"type": "command", "argv": ["python", "-c", code], "result": "d"}
    (tmp_path / "d").write_text("")
    config_file({"work_dir": "out", "execution_job_configs": [{"hook": "TrainModelHook", "extra_configs": settings}]})
    completed = dj_sandbox("--config", "sandbox.yaml")
    assert completed.returncode == 0, completed.stderr
    assert_hidden([completed.stderr, *stored(tmp_path / "out")])


BAD = [
    {"max_iter_num": KEY},
    {"pipelines": {"p": KEY}},
    {"pipelines": [{"p": KEY}]},
    *(
        {"execution_job_configs": [{"hook": hook, "extra_configs": settings}]}
        for hook, settings in [
            ("InferModelHook", {"type": ["x" * 20, KEY]}),
            ("InferModelHook", {"type": "api", "model": {"x": KEY}}),
            ("InferModelHook", {"type": "api", "sampling_params": KEY}),
            ("TrainModelHook", {"type": "command", "argv": f"run {KEY}", "result": "d"}),
            ("GeneralDataExecutorHook", {"type": "inline_rows", "rows": [KEY]}),
        ]
    ),
]


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize("config", BAD)
def test_a_bad_config(config_file, capsys, config, command):
    from data_juicer_sandbox.cli.main import main

    path = str(config_file({"work_dir": "out", **config}))
    assert main([command, "--config", path]) == 2
    output = capsys.readouterr().err
    assert "error" in output
    assert_hidden([output])


def test_a_value_under_the_name_of_a_secret(config_file, capsys):
    from data_juicer_sandbox.cli.main import main

    settings = {"type": "api", "model": "m", "api_key": [OPAQUE], "dataset_path": OPAQUE}
    job = {"hook": "InferModelHook", "extra_configs": settings}
    assert main(["validate", "--config", str(config_file({"execution_job_configs": [job]}))]) == 2
    assert_hidden([capsys.readouterr().err], OPAQUE)


def test_outputs_on_the_terminal(config_file, dj_sandbox, tmp_path):
    value = {"note": "x" * 80 + " " + KEY, "score": 0.5, "auth_rate": 0.25}
    job = {
        "hook": "EvaluateDataHook",
        "output": "scores",
        "extra_configs": {"type": "toy_lab.steps.Give", "value": value},
    }
    config_file({"work_dir": "out", "evaluation_job_configs": [job]})
    completed = dj_sandbox("--config", "sandbox.yaml")
    assert completed.returncode == 0
    assert "0.25" in completed.stderr
    assert_hidden([completed.stderr, (tmp_path / "out/sandbox.log").read_text()])
    assert json.loads((tmp_path / "out/context_infos.json").read_text())
