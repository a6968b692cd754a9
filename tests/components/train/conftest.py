"""A small data set and a small model to train on, and a training that is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer

SMALL = {
    "max_tokens": 4000,
    "vocab_size": 400,
    "n_layer": 2,
    "n_embd": 32,
    "n_head": 2,
    "block_size": 32,
    "batch_size": 4,
    "threads": 1,
}


@pytest.fixture
def tiny() -> dict[str, Any]:
    """Parameters of a model that trains in a second: 32 steps."""
    return dict(SMALL)


@pytest.fixture
def corpus(jsonl: Callable[..., str], docstrings: list[str]) -> str:
    """Two hundred docstrings."""
    return jsonl("corpus.jsonl", [{"text": text, "n": number} for number, text in enumerate(docstrings[:200])])


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, docstrings: list[str]) -> str:
    """The folder of a small model, trained a little, with a context of 256 tokens."""
    folder = tmp_path_factory.mktemp("base")
    data = folder / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in docstrings[:100]))
    quiet = NullJob()
    settings = {**SMALL, "max_tokens": 20_000, "block_size": 256, "n_embd": 48}
    return HuggingFaceTrainer(str(data), **settings).run(JobRun("p", "base", folder, quiet, quiet))[0]


_KILLED = """
import importlib, json, os, pathlib, signal, sys
from data_juicer_sandbox.components.base import JobRun, NullJob
module, name, config, folder, step = sys.argv[1:]
class Deadly(NullJob):
    def watch(self, values, step=None):
        if step >= int(sys.argv[5]):
            os.kill(os.getpid(), signal.SIGKILL)
quiet = Deadly()
getattr(importlib.import_module(module), name)(**json.loads(config)).run(
    JobRun("anonymous", "a_job", pathlib.Path(folder), quiet, quiet)
)
"""


@pytest.fixture
def killed(job: JobRun) -> Callable[..., None]:
    """Train in the job's folder, in a process that is killed when it tells of a step."""

    def train(kind: type[Any], step: int, **config: Any) -> None:
        argv = [kind.__module__, kind.__qualname__, json.dumps(config), str(job.folder), str(step)]
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, *argv], capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    return train


@pytest.fixture
def other_job(tmp_path: Path) -> JobRun:
    """Another job, whose training nobody disturbs."""
    folder, quiet = tmp_path / "undisturbed", NullJob()
    folder.mkdir()
    return JobRun("anonymous", "a_job", folder, quiet, quiet)
