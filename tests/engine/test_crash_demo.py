"""The demo with a small corpus, killed (`kill -9`) at random moments inside Data-Juicer, training and scoring."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_juicer_sandbox.file_digests import digest

ROOT = Path(__file__).parent.parent.parent
KILLS = 3


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--config", "small.yaml", "--resume", "true"]
    # Bytes of trained weights are equal only for an equal number of threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def finish(folder: Path) -> str:
    process = start(folder)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def left(folder: Path) -> tuple[dict[tuple[str, str, str], object], dict[str, str]]:
    """Outputs by job; digests of the data sets, the recipe and the models."""
    context = pickle.loads((folder / "outputs/ci/context_infos.pkl").read_bytes())
    outputs = {
        (pipeline, record["__job__"]["phase"], record["meta_name"]): {k: v for k, v in record.items() if k != "__job__"}
        for pipeline, records in context[0].items()
        for record in records
    }
    names = ("corpus", "refined", "pools", "models")
    return outputs, {name: digest(folder / "outputs/ci" / name) for name in names}


@pytest.mark.slow
def test_the_demo_killed_anywhere_ends_as_if_undisturbed(tmp_path):
    def folder(name: str) -> Path:
        made = tmp_path / name
        (made / "configs/demo").mkdir(parents=True)
        shipped = "configs/demo/sandbox.yaml"
        (made / shipped).write_bytes((ROOT / shipped).read_bytes())
        subprocess.run([sys.executable, ROOT / ".ci/small_demo.py", "small.yaml"], cwd=made, check=True)
        return made

    whole = folder("undisturbed")
    started = time.time()
    finish(whole)
    took = time.time() - started
    expected = left(whole)
    assert len(expected[0]) == 8
    draw = random.Random(6)
    for number in range(KILLS):
        killed = folder(f"killed{number}")
        process = start(killed)
        time.sleep(draw.uniform(2, took * 0.95))
        process.kill()
        process.communicate(timeout=30)  # not while a worker of it lives on and holds its output
        assert process.returncode == -signal.SIGKILL
        finish(killed)
        assert left(killed) == expected
