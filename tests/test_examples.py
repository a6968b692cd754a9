"""The scripts and the notebook of examples/ run as they are, from an empty folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = json.loads((EXAMPLES / "first_experiment.ipynb").read_text(encoding="utf-8"))
CODE_CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run(arguments: list[str], folder: Path) -> str:
    """Run Python in a folder; returns what it prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_script(name: str, folder: Path) -> str:
    return run([str(EXAMPLES / name)], folder)


def test_run_experiment_and_load_its_results(tmp_path: Path) -> None:
    printed = run_script("run_experiment.py", tmp_path)
    assert "3 of 3 jobs would run" in printed
    assert ["score", "large.accuracy", "0.75"] in [line.split() for line in printed.splitlines()]
    printed = run_script("load_results.py", tmp_path)
    assert [line.split()[2] for line in printed.splitlines()[1:4]] == ["done"] * 3
    assert printed.splitlines()[-1] == "best: outputs/run_experiment/large.jsonl with accuracy 0.75"


def test_run_component(tmp_path: Path) -> None:
    printed = run_script("run_component.py", tmp_path)
    pools = sorted((tmp_path / "outputs/run_component/pools").rglob("*.jsonl"))
    assert [len(pool.read_text().splitlines()) for pool in pools] == [10, 10, 10]
    assert "error: parameter 'split_ratios': " in printed


def test_notebook_runs_top_to_bottom(tmp_path: Path) -> None:
    code = "\n\n".join(CODE_CELLS) + "\nprint(results['anonymous.score.best']['accuracy'])"
    printed = run(["-c", code], tmp_path)
    assert "1 of 1 jobs would run" in printed
    assert printed.splitlines()[-1] == "0.75"


def test_notebook_has_no_outputs_and_no_magics() -> None:
    assert NOTEBOOK["nbformat"] == 4
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            assert not any(line.startswith(("%", "!")) for line in cell["source"])
    assert CODE_CELLS[0].startswith('"""')


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_scripts_say_what_they_show(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith('"""')
