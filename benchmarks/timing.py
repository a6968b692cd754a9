"""Measuring whole processes: in turn, several times, medians, ratios. Machines are noisy; ratios hold better."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANDBOX = [sys.executable, "-m", "data_juicer_sandbox.cli.main"]


def seconds(command: Sequence[str], cwd: Path) -> float:
    """Wall time of one run that must end well."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode; compiling it is not timed
    started = time.perf_counter()
    made = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if made.returncode:
        sys.exit(f"{' '.join(command)} exited {made.returncode}:\n{made.stderr}")
    return took


def in_turn(commands: dict[str, Sequence[str]], cwd: Path, rounds: int) -> dict[str, float]:
    """The median wall time of each command, all of them once a round, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took = seconds(command, cwd)
            if number:
                times[name].append(took)
    return {name: statistics.median(values) for name, values in times.items()}
