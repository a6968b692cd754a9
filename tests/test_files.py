"""Files that are whole or not there."""

import multiprocessing
import signal
import subprocess
import sys
import time

import pytest

from data_juicer_sandbox import output_lock
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.output_folders import MARKER


def test_it_appears_when_complete(tmp_path):
    path = tmp_path / "deep/er/x.txt"
    with replacing(path, durable=True) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["x.txt"]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]


def test_a_folder_replaces_a_folder_of_the_same_owner(tmp_path):
    path = tmp_path / "model"
    for text in ("one", "two"):
        with replacing(path, folder=True) as part:
            part.mkdir()
            (part / text).write_text(text)
    assert sorted(entry.name for entry in path.iterdir()) == [MARKER, "two"]


def test_two_processes_do_not_write_one_output_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(output_lock, "PATIENCE", 0.2)
    code = (
        "import sys; from data_juicer_sandbox.files import replacing\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.write_text('the first'); print('writing', flush=True); sys.stdin.read()\n"
    )
    path = tmp_path / "x.txt"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"writing\n"
        with pytest.raises(JobError, match="another run is writing"), replacing(path) as part:
            part.write_text("the second")
        first.communicate()
    assert (path.read_text(), first.returncode) == ("the first", 0)
    with replacing(path) as part:
        part.write_text("the second")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]


def test_what_a_killed_process_left_is_swept_away_by_the_next(tmp_path):
    code = (
        "import os, signal, sys; from data_juicer_sandbox.files import replacing\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "x.txt"
    made = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert made.returncode == -signal.SIGKILL
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 2  # the temporary file and its lock
    with replacing(path) as part:
        part.write_text("whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]


def write_until_ended(folder, connection, has_hook):
    """Take and give back locks until SIGTERM, whose handler raises SystemExit, as in a worker."""
    if has_hook:  # as in a worker of Data-Juicer: Python code runs within `os.open` and `os.unlink`
        sys.addaudithook(lambda _event, _arguments: None)

    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    connection.send("started")
    while True:
        with replacing(folder / "x.txt") as part:
            part.touch()


def test_a_process_that_is_ended_while_it_writes_leaves_no_lock(tmp_path):
    fork = multiprocessing.get_context("fork")
    for number in range(100):
        here, there = fork.Pipe()
        process = fork.Process(target=write_until_ended, args=(tmp_path, there, number % 2 == 1), daemon=True)
        process.start()
        here.recv()
        time.sleep(number % 10 * 0.0003)
        process.terminate()
        process.join()
        assert {entry.name for entry in tmp_path.iterdir()} <= {"x.txt"}


@pytest.mark.parametrize("event", ["open", "fcntl.flock", "os.remove"])
def test_a_process_that_is_ended_within_an_audit_hook_leaves_no_lock(tmp_path, event):
    code = (
        "import sys\n"
        "from data_juicer_sandbox.files import replacing\n"
        "raised = []\n"
        "def hook(event, arguments):\n"
        "    is_lock = event == 'fcntl.flock' or str(arguments[0]).endswith('.lock')\n"
        "    if event == sys.argv[2] and is_lock and not raised:\n"
        "        raised.append(event)\n"
        "        raise SystemExit(3)\n"
        "sys.addaudithook(hook)\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.touch()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.txt"), event], check=False)
    assert ended.returncode == 3
    assert {entry.name for entry in tmp_path.iterdir()} <= {"x.txt"}


def test_the_lock_of_another_process_stays_when_waiting_for_it_is_interrupted(tmp_path, monkeypatch):
    lock = tmp_path / ".x.lock"

    def interrupted(_seconds):
        raise KeyboardInterrupt

    with output_lock.writing(tmp_path / "x", lock):
        monkeypatch.setattr(output_lock.time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt), output_lock.writing(tmp_path / "x", lock):
            raise AssertionError("it is locked")
        assert lock.exists()
    assert not lock.exists()
