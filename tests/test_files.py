"""Files that are whole or not there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("moment", ["flock", "unlink"])
def test_a_signal_while_the_lock_is_taken_or_given_back_leaves_no_file(tmp_path, monkeypatch, moment):
    """A worker is ended by SIGTERM at any moment; its handler raises SystemExit."""

    def stop(*_):
        raise SystemExit

    def with_signal(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments, **options)

    owner = output_lock.fcntl if moment == "flock" else Path
    original = getattr(owner, moment)
    monkeypatch.setattr(owner, moment, with_signal)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(SystemExit), output_lock.writing(tmp_path / "x", tmp_path / ".x.lock"):
            pass
        assert list(tmp_path.iterdir()) == []
    finally:
        signal.signal(signal.SIGTERM, before)
