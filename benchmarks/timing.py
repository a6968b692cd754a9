"""Measuring whole processes: in turn, several times, medians, ratios. Machines are noisy; ratios hold better."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANDBOX = [sys.executable, "-m", "data_juicer_sandbox.cli.main"]


def seconds(command: Sequence[str], cwd: Path) -> float:
    """Wall time of one run that must end well."""
    return measured(command, cwd)[0]


def measured(command: Sequence[str], cwd: Path, root: Path = ROOT) -> tuple[float, float]:
    """Wall time of one run that must end well, and the peak memory (MB) of its largest process.

    Args:
        command: the command.
        cwd: its folder.
        root: the folder of the sandbox's source.
    """
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests/support'}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode; compiling it is not timed
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(command)} exited {process.returncode}:\n{errors.read()}")
    return took, usage.ru_maxrss / 1000


def in_turn(commands: dict[str, Sequence[str]], cwd: Path, rounds: int) -> dict[str, float]:
    """The median wall time of each command, all of them once a round, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took = seconds(command, cwd)
            if number:
                times[name].append(took)
    return {name: statistics.median(values) for name, values in times.items()}
