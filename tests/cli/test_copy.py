"""`dj-sandbox cp`: shipped configs, never over a file of the user's."""

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from data_juicer_sandbox.cli import copy as command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        code = command.run(parser.parse_args(words))
        return code, capsys.readouterr()

    return run


def test_the_list_names_every_shipped_config(call):
    code, said = call()
    assert code == 0
    shipped = sorted(str(path.relative_to(ROOT / "configs")) for path in (ROOT / "configs").rglob("*.yaml"))
    assert [line.split()[0] for line in said.out.splitlines() if ".yaml" in line] == shipped
    assert "demo/sandbox.yaml" in shipped
    assert all(len(line.split(maxsplit=1)) == 2 for line in said.out.splitlines())  # each says what it shows


def test_copies(call, tmp_path):
    shipped = (ROOT / "configs/demo/sandbox.yaml").read_bytes()
    code, said = call("demo/sandbox.yaml")
    assert code == 0
    assert "dj-sandbox --config sandbox.yaml" in said.out
    assert (tmp_path / "sandbox.yaml").read_bytes() == shipped
    assert call("demo/sandbox.yaml", "new/name.yaml")[0] == 0
    assert (tmp_path / "new/name.yaml").read_bytes() == shipped
    assert call("demo/sandbox.yaml", "folder/")[0] == 0
    assert (tmp_path / "folder/sandbox.yaml").read_bytes() == shipped


def test_the_files_that_a_config_names_come_with_it(call, tmp_path):
    code, said = call("hpo/sandbox.yaml", "lab/")
    assert code == 0
    assert said.out.splitlines() == [
        "lab/sandbox.yaml",
        "lab/sweep.yaml",
        "run it with: dj-sandbox --config lab/sandbox.yaml",
    ]
    assert (tmp_path / "lab/sweep.yaml").read_bytes() == (ROOT / "configs/hpo/sweep.yaml").read_bytes()
    (tmp_path / "sweep.yaml").write_text("mine")
    code, said = call("hpo/sandbox.yaml")
    assert code == 2
    assert "sweep.yaml exists" in said.err
    assert not (tmp_path / "sandbox.yaml").exists()


def test_never_over_a_file_without_force(call, tmp_path):
    (tmp_path / "sandbox.yaml").write_text("mine")
    code, said = call("demo/sandbox.yaml")
    assert code == 2
    assert "exists (use --force to overwrite it)" in said.err
    assert (tmp_path / "sandbox.yaml").read_text() == "mine"
    assert call("demo/sandbox.yaml", "--force")[0] == 0
    assert (tmp_path / "sandbox.yaml").read_text() != "mine"


def test_never_over_a_link_without_force(call, tmp_path):
    (tmp_path / "sandbox.yaml").symlink_to(tmp_path / "not_mounted_yet.yaml")
    code, printed = call("demo/sandbox.yaml")
    assert code == 2
    assert "exists (use --force to overwrite it)" in printed.err
    assert (tmp_path / "sandbox.yaml").is_symlink()


def test_unknown(call, tmp_path):
    code, said = call("demo/sandbx.yaml")
    assert code == 2
    assert "did you mean 'demo/sandbox.yaml'?" in said.err
    assert call("../pyproject.toml")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written(call, tmp_path):
    (tmp_path / "file").write_text("")
    code, said = call("demo/sandbox.yaml", "file/x.yaml")
    assert code == 2
    assert "cannot be written" in said.err


@pytest.mark.slow
def test_the_wheel_carries_the_configs(tmp_path):
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(pip, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import sys; from data_juicer_sandbox.cli.main import main; sys.exit(main(['cp', 'demo/sandbox.yaml']))"
    environment = {"PYTHONPATH": f"{tmp_path / 'site'}:{':'.join(p for p in sys.path if 'site-packages' in p)}"}
    subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert (tmp_path / "sandbox.yaml").read_bytes() == (ROOT / "configs/demo/sandbox.yaml").read_bytes()
