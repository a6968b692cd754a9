"""Forked workers, and what they fork, do not outlive a killed run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CODE = """
import os, sys, time
from data_juicer_sandbox.components.processes import orphan_guard
orphan_guard.install()
if os.fork() == 0:
    if os.fork() == 0:
        print(os.getppid(), os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_children_and_grandchildren_end_with_a_killed_parent():
    parent = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    time.sleep(0.5)
    assert not any(map(gone, pids))  # they live as long as it does
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=20)  # its output, which they hold too, is closed
    deadline = time.time() + 10
    while not all(map(gone, pids)) and time.time() < deadline:
        time.sleep(0.05)
    assert all(map(gone, pids))
