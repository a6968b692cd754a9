"""The tutorial is true: its files and commands are run, and its outputs compared where the machine does not matter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_juicer_sandbox.cli.main import main

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\S+\.(?:yaml|py))\n")
VARYING = re.compile(r"[+-]?\d[\d.,]*( min \d+)?( s\b)?")


def files() -> dict[str, str]:
    """The files that the reader creates, by name."""
    return {name[1]: text for _, text in BLOCK.findall(TUTORIAL.read_text()) if (name := FILE_NAME.match(text))}


def commands() -> list[tuple[str, str]]:
    """Each command with the output that the tutorial shows after it."""
    blocks = BLOCK.findall(TUTORIAL.read_text())
    pairs = []
    for (language, text), (next_language, output) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "bash" and "pip install" not in text:
            pairs.append((text.strip(), output if next_language == "text" else ""))
    return pairs


def write_files(folder: Path) -> None:
    for name, text in files().items():
        (folder / name).write_text(text)


def shell_environment(folder: Path) -> dict[str, str]:
    """The environment in which `python` and `dj-sandbox` are those of this test."""
    (folder / "bin").mkdir()
    for name, arguments in (("python", ""), ("dj-sandbox", "-m data_juicer_sandbox.cli.main")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        script.chmod(0o755)
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(TUTORIAL.parents[1])}


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, text=True, capture_output=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout + done.stderr


def stable(text: str) -> list[str]:
    """The words of each line, without numbers and times."""
    return [" ".join(VARYING.sub("N", line).split()) for line in text.splitlines() if line.strip(" -")]


def test_the_config_of_the_tutorial_is_valid(tmp_path, monkeypatch, capsys):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("docs.jsonl", "heldout.jsonl"):
        (tmp_path / name).write_text('{"text": "a"}\n')
    expected = dict(commands())["dj-sandbox validate --config sandbox.yaml"]
    assert main(["validate", "--config", "sandbox.yaml"]) == 0
    assert capsys.readouterr().out == expected


def test_the_scripts_of_the_tutorial_compile_and_its_numbers_fit_its_config():
    texts = files()
    assert {"make_data.py", "recipe.yaml", "sandbox.yaml", "how_sure.py", "from_python.py"} == set(texts)
    for name, text in texts.items():
        if name.endswith(".py"):
            compile(text, name, "exec")
    seeds = yaml.safe_load(texts["sandbox.yaml"])["pipelines"]["models"]["execution_job_configs"][0]["extra_configs"][
        "seeds"
    ]
    assert f"{len(seeds)} seeds" in texts["how_sure.py"]


@pytest.mark.slow
def test_a_short_form_of_the_tutorial_runs(tmp_path):
    """Two seeds and a tiny budget; every script of the tutorial reads its results."""
    write_files(tmp_path)
    config = (tmp_path / "sandbox.yaml").read_text()
    for before, after in (
        ("[1, 2, 3, 4, 5]", "[1, 2]"),
        ("max_tokens: 12000", "max_tokens: 600"),
        ("max_rows: 10", "max_rows: 1"),
    ):
        assert before in config
        config = config.replace(before, after)
    (tmp_path / "sandbox.yaml").write_text(config)
    environment = shell_environment(tmp_path)
    run("python make_data.py && dj-sandbox --config sandbox.yaml", tmp_path, environment)
    assert len(run("python how_sure.py", tmp_path, environment).splitlines()) == 5
    assert "best.jsonl" in run("python from_python.py", tmp_path, environment)


@pytest.mark.slow
def test_every_command_of_the_tutorial_gives_the_output_that_it_shows(tmp_path):
    write_files(tmp_path)
    environment = shell_environment(tmp_path)
    for command, shown in commands():
        output = run(command, tmp_path, environment)
        if "--config sandbox.yaml" in command and "plan" not in command and "validate" not in command:
            # The order of the lines of progress, and how many there are, depends on the speed of the machine.
            assert all(word in output for word in re.findall(r"^\[\d/\d\] (\S+) ", shown, re.MULTILINE))
        elif "how_sure" in command:
            assert {line.split()[0] for line in shown.splitlines()} == {line.split()[0] for line in output.splitlines()}
        elif "from_python" not in command:
            assert stable(output) == stable(shown), command
    iteration = json.loads((tmp_path / "outputs/tutorial/context_infos.json").read_text())["iterations"][0]
    summary = {row["train_dataset"]: row for row in iteration["models"][1]["summary"]}
    assert len(summary) == 5
    assert all(row["n"] == 5 for row in summary.values())
    assert (tmp_path / "best.jsonl").is_file()
    assert "<html" in (tmp_path / "outputs/tutorial/report.html").read_text()
