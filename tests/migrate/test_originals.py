"""Configs such as the original shipped: after `migrate` they are valid, and a second time changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_juicer_sandbox.cli.main import main

from .conftest import ORIGINALS, lasting, problems

CONFIGS = (
    "demo/sandbox.yaml",
    "easyanimate/1_single_op.yaml",
    "easyanimate/2_multi_op.yaml",
    "easyanimate/3_duplicate.yaml",
    "prompts/sandbox.yaml",
    "internvl/sandbox.yaml",
)


@pytest.fixture
def folder(request, tmp_path, monkeypatch):
    shutil.copytree(ORIGINALS, tmp_path / "originals")
    return lambda name: monkeypatch.chdir((tmp_path / "originals" / name).parent)


@pytest.mark.parametrize("config", CONFIGS)
def test_it_is_valid_afterwards(config, folder, capsys):
    folder(config)
    name = Path(config).name
    new = name.replace(".yaml", ".migrated.yaml")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    if "easyanimate" not in config:
        assert any("`dj-sandbox migrate" in text for text in problems(name)), "the old one points to migrate"

    assert main(["migrate", name]) == 0
    assert lasting(new) == []
    assert not any("iter_1" in text for text in problems(new))
    assert {path: path.read_bytes() for path in before} == before, "the user's files stay as they are"
    comments = [line.partition("#")[2].strip() for line in Path(name).read_text().splitlines() if "# " in line]
    assert all(comment in Path(new).read_text() for comment in comments)

    capsys.readouterr()
    files = {path for path in Path().rglob("*") if path.is_file()}
    assert main(["migrate", new]) == 0
    assert capsys.readouterr().out == f"{new}: nothing to migrate\n"
    assert {path for path in Path().rglob("*") if path.is_file()} == files


def test_results_and_names_of_the_internvl_config(folder):
    folder("internvl/sandbox.yaml")
    assert main(["migrate", "sandbox.yaml", "-o", "new.yaml"]) == 0
    text = Path("new.yaml").read_text()
    assert "extra_configs.dataset_path: -1.res_1" in text
    assert "extra_configs.ckpt_paths: data.train.res_1" in text
    assert "env_manager: conda" in text, "keys of components of later versions stay"
    assert "data_root_path" not in text
    assert "export_path: ./outputs/internvl/merged\n" in text


def test_paths_of_the_single_op_config(folder):
    folder("easyanimate/1_single_op.yaml")
    assert main(["migrate", "1_single_op.yaml", "-o", "new.yaml"]) == 0
    text = Path("new.yaml").read_text()
    assert "dataset_path: ./outputs/single-op/analysed_analyze_1_analyzed.jsonl\n" in text
    assert "pools/video_motion_score/analysed_analyze_1_analyzed_video_motion_score_0.jsonl\n" in text
    assert "extra_configs: model_train.migrated.yaml\n" in text
    assert (
        "dataset_meta_name: ./outputs/single-op/ea/pool_ea_fmt.json\n" in Path("model_train.migrated.yaml").read_text()
    )


def test_the_demo_trains_on_the_processed_data(folder):
    """The probe, and the processing by the refined recipe, have the same export path: the latter is meant."""
    folder("demo/sandbox.yaml")
    assert main(["migrate", "sandbox.yaml"]) == 0
    text = Path("gpt3_extra_train_config.migrated.yaml").read_text()
    assert "dataset_path: ./outputs/demo-process/demo-processed.jsonl\n" in text
    assert Path("sandbox.migrated.yaml").read_text().splitlines()[3] == "work_dir: ./outputs/hello_world"
