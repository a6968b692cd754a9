"""No config value stands on the command line, or in the environment, of a process that a job starts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.evaluate.harness.external import ExternalHarness
from data_juicer_sandbox.components.processes.handover import hand_over, private_folder, take_over
from data_juicer_sandbox.components.quality import spark, spark_run

TOKEN = "a-marker-that-nobody-else-has-51947"


class Spy:
    """Looks at all processes below this one, and at the files that are handed over, again and again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.processes: dict[int, bytes] = {}
        self.modes: set[tuple[str, int]] = set()

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if TOKEN.encode() in (process / "cmdline").read_bytes() + (process / "environ").read_bytes():
                    self.processes[int(process.name)] = (process / "cmdline").read_bytes()
            except OSError:
                continue  # gone, or another user's
        for path in (self.folder, *self.folder.glob(".handover_*"), *self.folder.glob(".handover_*/*.json")):
            try:
                if path != self.folder:
                    self.modes.add((path.suffix, path.stat().st_mode & 0o777))
            except OSError:
                continue

    @contextmanager
    def watching(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                self.look()
                over.wait(0.005)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def spy(job: JobRun) -> Spy:
    return Spy(job.folder)


def test_a_spy_sees_what_stands_on_a_command_line(spy):
    argv = [sys.executable, "-c", "print('ready', flush=True); input()", TOKEN]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        spy.look()
        process.communicate(b"\n")
    assert process.pid in spy.processes


@pytest.mark.parametrize("together", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_that_train(job, spy, jsonl, docstrings, together):
    pytest.importorskip("torch", reason="needs the extra `train`")
    from training_workers import workers

    from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer

    observed: list[str] = []

    class Watching(NullJob):
        def watch(self, values, step=None):
            spy.look()
            observed.extend(workers(job.folder))

    pools = [jsonl(f"{name}.jsonl", [{"text": text} for text in docstrings[:60]]) for name in ("low", "high")]
    small = {"vocab_size": 400, "n_layer": 1, "n_embd": 32, "n_head": 2, "block_size": 32, "batch_size": 4}
    trainer = HuggingFaceTrainer(
        pools[:1] if together > 1 else pools,
        max_parallel=1 if together > 1 else 2,
        num_processes=together,
        max_tokens=2000,
        threads=1,
        training_args={"run_name": f"https://user:{TOKEN}@host"},
        **small,
    )
    with spy.watching():
        models = trainer.run(JobRun(job.pipeline, job.name, job.folder, Watching(), job.progress))
    assert observed  # it looked while workers ran
    assert spy.processes == {}
    assert spy.modes == {("", 0o700), (".json", 0o600)}
    assert list(job.folder.glob(".handover_*")) == []
    for model in models:
        record = (Path(model) / "training.json").read_text()
        assert TOKEN not in record
        assert json.loads(record)["parameters"]["training_args"] == {"run_name": "https://user:***@host"}


def test_threads_may_find_the_folders_of_a_killed_process_at_the_same_time(tmp_path):
    for number in range(40):
        abandoned = tmp_path / f".handover_{socket.gethostname()}_0_{number}"
        abandoned.mkdir()
        for name in range(40):
            (abandoned / f"{name}.json").touch()
    start = threading.Barrier(8, timeout=20)

    def train() -> None:
        start.wait()
        with private_folder(tmp_path):
            start.wait()  # no thread removes the folder of another

    with ThreadPoolExecutor(8) as pool:
        for thread in [pool.submit(train) for _ in range(8)]:
            thread.result()
    assert list(tmp_path.iterdir()) == []


def test_a_framework_outside(job, spy, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import json, pathlib, sys, time\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "request = json.loads(file.read_text())\n"
        "file.unlink()\n"
        "time.sleep(0.3)\n"
        "(pathlib.Path(request['folder']) / '0.json').write_text(json.dumps(request['options']))\n"
    )
    outside = ExternalHarness("json", "-", str(script), None, "NO_KEY")
    with spy.watching():
        ((_, folder, answer),) = outside.run(job, ["m"], {"options": {"token": TOKEN}})
    assert answer == {"token": TOKEN}
    assert spy.processes == {}
    assert (".json", 0o600) in spy.modes
    assert not folder.exists()


@pytest.mark.parametrize("name", ["lm_eval_run", "evalscope_run"])
def test_the_scripts_of_frameworks_remove_their_request(tmp_path, name):
    from data_juicer_sandbox.components.evaluate import harness

    request = tmp_path / "request.json"
    request.write_text("{}")  # which makes them fail right after reading it
    script = Path(harness.__file__).parent / f"{name}.py"
    done = subprocess.run([sys.executable, script, request], capture_output=True, timeout=120, check=False)
    assert done.returncode == 1
    assert not request.exists()


def test_spark_gets_a_file(job, spy, tmp_path, monkeypatch):
    """In place of Spark's script one that takes the same request."""
    script = tmp_path / "script.py"
    script.write_text(
        "import json, pathlib, sys, time\n"
        "assert len(sys.argv) == 2\n"
        "request = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"
        "pathlib.Path(sys.argv[1]).unlink()\n"
        "time.sleep(0.3)\n"
        "count = len(open(request['texts']).readlines())\n"
        "pathlib.Path(request['scores']).write_text('0.5\\n' * count)\n"
    )
    monkeypatch.setattr(spark_run, "__file__", str(script))
    classifier = spark.SparkClassifier(tmp_path / TOKEN, job.folder, python=sys.executable)
    with spy.watching():
        assert list(classifier.score(["a", "b"])) == [0.5, 0.5]
    assert spy.processes == {}
    assert (".json", 0o600) in spy.modes


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    abandoned, other = tmp_path / f".handover_{socket.gethostname()}_{process.pid}_x", tmp_path / "mine"
    for folder in (abandoned, other):
        folder.mkdir()
        (folder / "0.json").write_text("{}")
    (tmp_path / ".handover_link").symlink_to(other)
    with private_folder(tmp_path) as first, private_folder(tmp_path) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not abandoned.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".handover_link", "mine"]
    assert (other / "0.json").exists()


def test_a_file_is_new_and_read_once(tmp_path):
    hand_over(tmp_path / "a.json", {"key": "ä"})
    with pytest.raises(FileExistsError):
        hand_over(tmp_path / "a.json", {})
    assert take_over(tmp_path / "a.json") == {"key": "ä"}
    assert list(tmp_path.iterdir()) == []


def test_what_another_running_process_hands_over_stays(tmp_path):
    other = tmp_path / f".handover_{socket.gethostname()}_{os.getppid()}_x"
    remote = tmp_path / f".handover_another-machine_{2**22 + 1}_x"
    other.mkdir()
    remote.mkdir()
    with private_folder(tmp_path):
        assert other.is_dir()
        assert remote.is_dir()
