"""The commands that the program prints work where it is installed."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

import data_juicer_sandbox
from data_juicer_sandbox import installation

CLONE = Path(data_juicer_sandbox.__file__).parent.parent
METADATA = """Metadata-Version: 2.4
Name: data-juicer-sandbox
Version: 1
Provides-Extra: train
Requires-Dist: PyYAML>=6
Requires-Dist: torch>=2.13; extra == 'train'
Requires-Dist: optuna>=5.0; extra == 'search'
Requires-Dist: data-juicer-sandbox[train,search]; extra == 'all'
Requires-Dist: wandb>=0.31; extra == "all"
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install the package as `direct_url.json` describes it, without a clone."""

    def install(origin=None):
        folder = tmp_path / "x.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(METADATA)
        if origin is not None:
            (folder / "direct_url.json").write_text(json.dumps(origin))
        monkeypatch.setattr("importlib.metadata.distribution", lambda name: Distribution.at(folder))
        monkeypatch.setattr(installation, "checkout", lambda: None)

    return install


def arguments(extra):
    """The arguments of the command, after `pip`."""
    return shlex.split(installation.install_command(extra).partition("install ")[2])


def test_from_a_clone_its_folder_is_installed():
    assert arguments("search") == ["-e", f"{CLONE}[search]"]
    assert (CLONE / "pyproject.toml").is_file()


def test_from_a_url_the_url_is_installed(installed):
    installed({"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "0"}})
    assert arguments("search") == ["data-juicer-sandbox[search] @ git+https://example.org/x.git"]


def test_from_a_folder_the_folder_is_installed(installed, tmp_path):
    (tmp_path / "a b").mkdir()
    installed({"url": f"file://{tmp_path}/a%20b", "dir_info": {}})
    assert arguments("train") == [f"{tmp_path}/a b[train]"]


def test_from_a_wheel_the_packages_of_the_extra_are_installed(installed):
    installed({"url": "file:///x.whl", "archive_info": {}})
    assert arguments("search") == ["optuna>=5.0"]
    assert arguments("all") == ["torch>=2.13", "optuna>=5.0", "wandb>=0.31"]


def test_the_command_names_the_pip_of_this_python(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shlex.split(installation.install_command("train"))[:3] == [sys.executable, "-m", "pip"]


def test_the_program_is_named_by_its_path_where_the_environment_is_not_active(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    script = tmp_path / "dj-sandbox"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    assert installation.program() == str(script)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installation.program() == "dj-sandbox"


def test_no_text_names_an_install_from_an_index():
    """`pip install data-juicer-sandbox` finds nothing, since the package is on no index."""
    pages = [*CLONE.glob("*.md"), *(CLONE / "docs").rglob("*.md"), *(CLONE / "configs").rglob("*.yaml")]
    pages += (CLONE / "data_juicer_sandbox").rglob("*.py")
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    assert [str(page) for page, text in texts.items() if "install 'data-juicer-sandbox[" in text] == []
