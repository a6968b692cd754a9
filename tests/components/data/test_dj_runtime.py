"""What importing and running Data-Juicer must not do to a process, tried in one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.data.dj_runtime import dj_runtime
from data_juicer_sandbox.components.data.isolation import NotInstalled, no_installs

_CODE = """
import importlib.machinery, os, sys, tempfile

class NoTorch(importlib.machinery.PathFinder):
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] not in ("torch", "transformers"):
            return importlib.machinery.PathFinder.find_spec(name, path, target)

sys.meta_path = [NoTorch if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
from pathlib import Path
from loguru import logger
from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data.analyzer import DataJuicerAnalyzer
from data_juicer_sandbox.components.data.executor import DataJuicerExecutor
from data_juicer_sandbox.terminal import logs

assert "data_juicer" not in sys.modules and "datasets" not in sys.modules and "pandas" not in sys.modules
folder = Path(sys.argv[1])
logs.setup(folder / "log.txt", debug=False)
started = []
sys.addaudithook(lambda event, args: started.append(args[1]) if event == "subprocess.Popen" else None)
environment = dict(os.environ)
quiet = NullJob()
(folder / "job").mkdir()
job = JobRun("p", "probe", folder / "job", quiet, quiet)
recipe = {"dataset_path": sys.argv[2], "process": [{"text_length_filter": {}}], "np": 2, "image_special_token": "<i>"}
DataJuicerAnalyzer(recipe).run(job)
DataJuicerExecutor({**recipe, "use_cache": False}).run(job)
import datasets
from data_juicer.utils.mm_utils import SpecialTokens
assert SpecialTokens.image != "<i>", SpecialTokens.image
assert datasets.is_caching_enabled()
assert dict(os.environ) == environment
assert tempfile.tempdir is None or Path(tempfile.tempdir).is_dir()
assert not [argv for argv in started if "install" in str(argv)], started
assert type(sys.stdout).__name__ == "TextIOWrapper"
logger.warning("still here")
logger.complete()
assert "torch" not in sys.modules
print("done")
"""


def test_a_process_is_left_as_it_was(tmp_path: Path, dataset: str) -> None:
    command = [sys.executable, "-c", _CODE, str(tmp_path), dataset]
    made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert made.returncode == 0, made.stderr[-4000:]
    assert made.stdout == "done\n"
    assert made.stderr == "WARNING: still here\n"
    log = (tmp_path / "log.txt").read_text()
    assert "still here" in log
    assert "data_juicer.core.analyzer" in log


def test_no_way_to_install() -> None:
    for argv in (
        [sys.executable, "-m", "pip", "install", "x-y-z"],
        ["uv", "pip", "install", "--quiet", "x-y-z"],
        "pip install x-y-z",
    ):
        with no_installs(), pytest.raises(NotInstalled, match="x-y-z"):
            subprocess.run(argv, check=False, shell=isinstance(argv, str))
    with no_installs():
        assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0
    assert (
        subprocess.run([sys.executable, "-m", "pip", "install", "--help"], check=False, capture_output=True).returncode
        == 0
    )


def test_errors_of_ours_pass_others_are_named(job: JobRun) -> None:
    from data_juicer_sandbox.errors import JobError

    with pytest.raises(JobError, match="Data-Juicer failed: RuntimeError: no"), dj_runtime(job):
        raise RuntimeError("no")
    with pytest.raises(JobError, match=r"^mine$"), dj_runtime(job):
        raise JobError("mine")
    with pytest.raises(KeyboardInterrupt), dj_runtime(job):
        raise KeyboardInterrupt


def test_a_missing_package_survives_a_worker() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(NotInstalled("spacy")))
    assert str(error) == str(NotInstalled("spacy"))
    assert isinstance(error, ImportError)
