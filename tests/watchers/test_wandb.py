"""W&B: when it is configured, and what an offline run really leaves on disk."""

import json
import os
import subprocess
import sys

import pytest
from wandb_file import records

from data_juicer_sandbox.watchers.wandb import configured

RUN = """
import sys
from pathlib import Path
from data_juicer_sandbox.watchers.watcher import Watcher
watcher = Watcher.open(Path(sys.argv[1]), project="proj", experiment="exp", names=None,
                       config={"api_key": "abcdefgh123", "max_tokens": 5})
first = int(sys.argv[2])
watcher.start("anonymous", "train", {"extra_configs": {"api_key": "abcdefgh123", "lr": 0.1}})
for step in range(first, first + 3):
    watcher.of("anonymous", "train").watch({"loss": 5.0 - step, "nan": float("nan")}, step=step)
watcher.start("p1", "eval")
watcher.of("p1", "eval").watch({"score": {"a": 2}})
watcher.sync()
watcher.close()
"""


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """A home without logins."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("NETRC", "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_CONFIG_DIR", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_not_configured():
    assert not configured()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("WANDB_API_KEY", "k" * 40, True), ("WANDB_MODE", "offline", True), ("WANDB_MODE", "disabled", False)],
)
def test_configured_by_environment(monkeypatch, name, value, expected):
    monkeypatch.setenv(name, value)
    assert configured() is expected


def test_disabled_wins_over_a_key(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert not configured()


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (".netrc", "machine api.wandb.ai\n  login user\n  password " + "k" * 40, True),
        (".netrc", "machine example.org\n  login user\n  password x", False),
        (".netrc", "machine api.wandb.ai broken", False),
        (".config/wandb/settings", "[default]\nmode = offline\n", True),
        (".config/wandb/settings", "[default]\nmode = online\n", False),
        (".config/wandb/settings", "mode: %", False),
    ],
)
def test_configured_by_files(nobody, file, text, expected):
    path = nobody / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    assert configured() is expected


def offline_run(folder, first):
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(first)],
        env={**os.environ, "WANDB_MODE": "offline"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr
    return done.stdout + done.stderr


def test_an_offline_run_is_read_back_and_continued(tmp_path):
    pytest.importorskip("wandb")
    folder = tmp_path / "run"
    folder.mkdir()
    said = offline_run(folder, 0) + offline_run(folder, 3)
    assert "wandb:" not in said  # nothing is asked, nothing is advertised
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    rows, ids, configs = [], set(), {}
    for file in files:
        assert b"abcdefgh123" not in file.read_bytes()
        for record in records(file):
            if record.WhichOneof("record_type") == "run":
                ids.add(record.run.run_id)
                assert (record.run.project, record.run.display_name) == ("proj", "exp")
                configs.update({update.key: json.loads(update.value_json) for update in record.run.config.update})
            if record.WhichOneof("record_type") == "config":
                configs.update({update.key: json.loads(update.value_json) for update in record.config.update})
            if record.WhichOneof("record_type") == "history":
                rows.append({".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item})
    assert ids == {json.loads((folder / "wandb_run.json").read_text())["id"]}
    assert configs["api_key"] == "***"
    assert configs["max_tokens"] == 5
    assert configs["train"] == {"extra_configs": {"api_key": "***", "lr": 0.1}}
    assert [(row["train.step"], row["train.loss"]) for row in rows if "train.loss" in row] == [
        (n, 5.0 - n) for n in range(6)
    ]
    assert [row["p1.eval.score.a"] for row in rows if "p1.eval.score.a" in row] == [2, 2]


def test_without_configuration_wandb_is_not_imported(tmp_path):
    code = RUN + "assert 'wandb' not in sys.modules, 'imported'\n"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), "0"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "wandb").exists()


def test_a_wrong_key_and_no_network_end_in_one_warning(tmp_path):
    pytest.importorskip("wandb")
    hasty = "from data_juicer_sandbox.watchers import wandb\nwandb.TIMEOUT = 2\n"
    environment = {**os.environ, "WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", hasty + RUN, str(tmp_path), "0"],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("| WARNING") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 9


FAKE = """
import os, sys, threading, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from data_juicer_sandbox.watchers.watcher import Watcher
watcher = Watcher.open(Path(sys.argv[1]), project="proj", experiment="exp", names=["wandb"], config={{}})
watcher.start("p", "train")
for step in range(20):
    watcher.of("p", "train").watch({{"loss": step}}, step=step)
{more}
Path("all are watched").touch()
watcher.close()
import wandb
print(wandb.rows == [{{"p.train.loss": step, "p.train.step": step}} for step in range(20)], wandb.finished)
print([thread.name for thread in threading.enumerate()])
"""
SLOW = """
import time
from pathlib import Path
def wait():  # until all values are watched: the run would wait for ever if it waited for W&B
    while not Path("all are watched").exists():
        time.sleep(0.01)
rows, finished = [], False
class Settings:
    def __init__(self, **_): pass
def termsetup(*_): pass
class Run:
    config = {}
    def define_metric(self, *_, **__): pass
    def log(self, row): rows.append(row)
    def finish(self):
        global finished
        finished = True
def init(**_):
    wait()
    return Run()
"""


@pytest.fixture
def with_library(tmp_path, monkeypatch):
    """Run `FAKE` in a process of its own, with a library called wandb that is slow to import and to open."""

    def run(more="", library=SLOW):
        (tmp_path / "fake").mkdir()
        (tmp_path / "fake" / "wandb.py").write_text(library)
        code = FAKE.format(folder=str(tmp_path / "fake"), more=more)
        (tmp_path / "run").mkdir()
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "run")],
            env={**os.environ, "WANDB_MODE": "offline"}, cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("library", [SLOW, SLOW + "wait()\n"], ids=["opened slowly", "imported slowly"])
def test_values_are_kept_in_order_until_wandb_is_ready_and_only_the_end_waits(with_library, library):
    done = with_library(library=library)
    assert done.stdout == "True True\n['MainThread']\n", done.stderr


def test_a_process_that_is_forked_meanwhile_can_import_the_same_modules(with_library):
    """Without the guard the import of the child would wait for the thread, which it does not have."""
    more = """
while "wandb" not in sys.modules:
    time.sleep(0.001)
if (child := os.fork()) == 0:
    import wandb
    os._exit(7)
print(os.waitpid(child, 0)[1] >> 8)
"""
    done = with_library(more, SLOW.replace("    wait()\n", "") + "time.sleep(1)\n")
    assert done.stdout.splitlines()[:2] == ["7", "True True"]


def test_an_error_of_wandb_ends_in_one_warning_and_no_wait(with_library):
    done = with_library(library=SLOW.replace("rows.append(row)", "raise OSError('disk full')"))
    assert done.stdout == "False False\n['MainThread']\n", done.stderr
    assert done.stderr.count("| WARNING") == 1
    assert "the wandb tracker failed and is removed from this run: OSError: disk full" in done.stderr


def test_offline_nothing_is_written_to_the_terminal_by_wandb(dj_sandbox, config_file, tmp_path):
    pytest.importorskip("wandb")
    rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "out/rows.jsonl"}
    job = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "extra_configs": rows}
    config_file({"work_dir": "out", "execution_job_configs": [job]})
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb/settings").write_text("[default]\nmode = offline\n")
    done = dj_sandbox("sandbox.yaml", env={"WANDB_DIR": "."})
    assert done.returncode == 0
    assert done.stdout == ""
    assert "wandb:" not in done.stderr
    assert "W&B" not in done.stderr
    assert len(list(tmp_path.glob("out/wandb/offline-run-*/*.wandb"))) == 1
