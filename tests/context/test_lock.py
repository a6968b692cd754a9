"""One run at a time; no lock outlives its process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_juicer_sandbox.context.lock import locked
from data_juicer_sandbox.errors import WorkDirError

HOLD = (
    "import os, sys, time; from pathlib import Path; from data_juicer_sandbox.context.lock import locked\n"
    "with locked(Path(sys.argv[1])):\n"
    "    if sys.argv[2:]:\n"
    "        os.fork() or time.sleep(60)\n"
    "    print('held', flush=True); time.sleep(60)\n"
)


def holder(tmp_path, *more):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(tmp_path):
    process = holder(tmp_path)
    try:
        with pytest.raises(WorkDirError, match=f"process {process.pid} on "), locked(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()


def test_no_lock_stays_after_kill_9_even_if_a_child_lives_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "fork"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "held\n"  # the child says so: the parent sleeps
    process.kill()
    process.wait()
    deadline = time.time() + 5
    while True:
        try:
            with locked(tmp_path):
                break
        except WorkDirError:
            assert time.time() < deadline, "the lock outlived its process"
            time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)


def test_it_can_be_taken_again_after_it_was_given_back(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "new"):
            pass


def test_an_unwritable_folder_and_a_file_where_it_should_be(tmp_path):
    with pytest.raises(WorkDirError, match="cannot be written"), locked(Path("/sys/out")):
        pass  # nobody may write there, root neither
    (tmp_path / "f").write_text("")
    with pytest.raises(WorkDirError, match="cannot be written"), locked(tmp_path / "f" / "x"):
        pass
