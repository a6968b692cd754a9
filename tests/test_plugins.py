"""A tiny package is installed for real, and its component, hook and tracker are used from YAML by their names."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "support" / "plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "lab_extras/__init__.py"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes((PLUGIN / name).read_bytes())
    command = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        str(folder),
        str(source),
    ]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, capture_output=True, text=True)
    return str(folder)


def config(hook="GeneralProbeHook", kind="count_rows"):
    job = {
        "hook": hook,
        "meta_name": "count",
        "output": "n",
        "extra_configs": {"type": kind, "dataset_path": "rows.jsonl"},
    }
    return {"work_dir": "out", "watchers": ["plain_file"], "probe_job_configs": [job]}


@pytest.mark.parametrize(
    ("hook", "kind", "expected"),
    [
        ("GeneralProbeHook", "count_rows", 3),
        ("GeneralProbeHook", "lab_extras.CountRows", 3),
        ("LoudProbeHook", "count_rows", 6),
    ],
)
def test_installed_it_is_used_from_yaml(config_file, dj_sandbox, tmp_path, site, hook, kind, expected):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n' * 3)
    config_file(config(hook, kind))
    made = dj_sandbox("--config", "sandbox.yaml", env={"PYTHONPATH": site})
    assert made.returncode == 0, made.stderr
    assert pickle.loads((tmp_path / "out/context_infos.pkl").read_bytes())[0]["anonymous"][0]["n"] == expected
    assert (tmp_path / "out/plain.txt").read_text() == "anonymous count rows 3\n"
    assert "count_rows" in dj_sandbox("list", env={"PYTHONPATH": site}).stdout


def test_not_installed_it_is_unknown_by_name_and_the_nearest_is_named(config_file, dj_sandbox, site):
    config_file(config(kind="count_row"))
    made = dj_sandbox("validate", "--config", "sandbox.yaml", env={"PYTHONPATH": site})
    assert made.returncode == 2
    assert "unknown type 'count_row' for GeneralProbeFactory (did you mean 'count_rows'?" in made.stderr
    made = dj_sandbox("validate", "--config", "sandbox.yaml", env={"PYTHONPATH": os.devnull})
    assert "unknown type" in made.stderr
    assert "unknown watcher 'plain_file'" in made.stderr
