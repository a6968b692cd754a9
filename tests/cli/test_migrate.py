"""`dj-sandbox migrate`: what it writes where, what it refuses, what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_juicer_sandbox.cli.main import main

OLD = """\
# mine
execution_job_configs:
  - hook: InferModelHook
    extra_configs:
      type: api
      model: m
      model_params: {api_key: sk-aaaaaaaaaaaaaaaaaaaaaaaa, max_retries: 2}
      dataset_path: a.jsonl
      export_path: out
      note: token=abcdefghijklmnop123456  # gone
"""
UNCHANGED = "project_name: hello_world\n"


@pytest.fixture
def old(config_file):
    return config_file(OLD, "old.yaml")


def test_the_new_config_lies_beside_the_old_one(old, config_file, capsys):
    config_file(OLD, "sub/old.yml")
    assert main(["migrate", "sub/old.yml"]) == 0
    out = capsys.readouterr().out
    assert "sub/old.yml:10: `extra_configs.note` removed" in out
    assert "written: sub/old.migrated.yaml\nnext: dj-sandbox validate --config sub/old.migrated.yaml\n" in out
    assert Path("sub/old.migrated.yaml").read_text().startswith("# mine\n")
    assert Path("sub/old.yml").read_text() == OLD


def test_secrets_are_not_printed_but_kept(old, capsys):
    assert main(["migrate", "old.yaml"]) == 0
    captured = capsys.readouterr()
    assert "sk-aaaa" not in captured.out + captured.err
    assert "abcdefghijklmnop123456" not in captured.out + captured.err
    assert "sk-aaaaaaaaaaaaaaaaaaaaaaaa" in Path("old.migrated.yaml").read_text()


def test_an_existing_file_is_not_overwritten(old, capsys):
    Path("new.yaml").write_text("x: 1\n")
    assert main(["migrate", "old.yaml", "-o", "new.yaml"]) == 2
    assert capsys.readouterr().err == "dj-sandbox: new.yaml exists (use --force to overwrite it)\n"
    assert Path("new.yaml").read_text() == "x: 1\n"
    assert main(["migrate", "old.yaml", "-o", "new.yaml", "--force"]) == 0
    assert Path("new.yaml").read_text().startswith("# mine\n")


@pytest.mark.parametrize("output", ["old.yaml", "./old.yaml", "link.yaml", "part.yaml", "same.yaml"])
def test_the_old_files_are_never_overwritten(output, old, config_file, capsys):
    config_file({"type": "api", "note": 1}, "part.yaml")
    same = config_file({"type": "mse", "dataset_path": "a"}, "same.yaml").read_text()
    text = OLD + "  - hook: InferModelHook\n    extra_configs: part.yaml\n"
    text += "  - hook: EvaluateDataHook\n    extra_configs: same.yaml\n"
    old.write_text(text)
    Path("link.yaml").symlink_to("old.yaml")
    assert main(["migrate", "old.yaml", "-o", output, "--force"]) == 2
    assert "is one of the old files" in capsys.readouterr().err
    assert old.read_text() == text
    assert "note" in Path("part.yaml").read_text()
    assert Path("same.yaml").read_text() == same


def test_a_part_beside_an_existing_file(old, config_file, capsys):
    """Nothing is written if one of the files exists."""
    config_file({"type": "api", "note": 1}, "sub/part.yaml")
    Path("part.migrated.yaml").write_text("x: 1\n")
    old.write_text(OLD + "  - hook: InferModelHook\n    extra_configs: sub/part.yaml\n")
    assert main(["migrate", "old.yaml"]) == 2
    assert "part.migrated.yaml exists" in capsys.readouterr().err
    assert not Path("old.migrated.yaml").exists()


def test_standard_output(old, capsys):
    assert main(["migrate", "old.yaml", "-o", "-"]) == 0
    captured = capsys.readouterr()
    assert "note" not in yaml.safe_load(captured.out)["execution_job_configs"][0]["extra_configs"]
    assert captured.out.startswith("# mine\n")
    assert "`extra_configs.note` removed" in captured.err
    old.write_text(UNCHANGED)
    assert main(["migrate", "old.yaml", "-o", "-"]) == 0
    assert capsys.readouterr() == (UNCHANGED, "old.yaml: nothing to migrate\n")


def test_standard_output_has_room_for_one_file(old, config_file, capsys):
    config_file({"type": "api", "note": 1}, "part.yaml")
    old.write_text(OLD + "  - hook: InferModelHook\n    extra_configs: part.yaml\n")
    assert main(["migrate", "old.yaml", "-o", "-"]) == 2
    assert "files that old.yaml names change, too: part.yaml (write to a file" in capsys.readouterr().err


def test_json(config_file):
    values = yaml.safe_load(OLD)
    config_file(json.dumps(values), "old.json")
    assert main(["migrate", "old.json"]) == 0
    text = Path("old.migrated.yaml").read_text()
    assert "# migrate: a row whose requests fail" in text
    assert main(["migrate", "old.json", "-o", "new.json"]) == 0
    assert json.loads(Path("new.json").read_text()) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "old.yaml: no such file"),
        ("- 1\n", "old.yaml:1: expected a mapping of keys"),
        ("a: [\n", "not valid YAML"),
        ("", "expected a mapping"),
    ],
)
def test_what_is_no_config(content, message, config_file, capsys):
    path = config_file("", "old.yaml")
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    assert main(["migrate", "old.yaml"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("old", [".", "/", "sub/..", "pipe"])
def test_what_is_no_file(old, config_file, tmp_path, capsys):
    config_file({}, "sub/x.yaml")
    os.mkfifo(tmp_path / "pipe")
    assert main(["migrate", old]) == 2
    assert f"dj-sandbox: {old}: expected a file" in capsys.readouterr().err


def test_an_empty_output(old, capsys):
    assert main(["migrate", "old.yaml", "-o", ""]) == 2
    assert capsys.readouterr().err == "dj-sandbox: the output is empty (-o NEW.yaml)\n"


def test_a_folder_that_cannot_be_written(old, capsys):
    Path("file").write_text("")
    assert main(["migrate", "old.yaml", "-o", "file/new.yaml"]) == 2
    assert capsys.readouterr().err.startswith("dj-sandbox: ")


def test_a_folder_as_output(old):
    Path("new folder").mkdir()
    assert main(["migrate", "old.yaml", "-o", "new folder"]) == 0
    assert Path("new folder/old.yaml").exists()


def test_escape_sequences_of_a_config_do_not_reach_the_terminal(old, capsys):
    old.write_text('execution_job_configs:\n- hook: EvaluateDataHook\n  "\\e[31m": 1\n')
    assert main(["migrate", "old.yaml"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "`\\x1b[31m` removed" in out


def test_it_is_listed():
    assert (
        "migrate"
        in subprocess.run(
            [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--help"], capture_output=True, text=True, check=True
        ).stdout
    )


def test_it_imports_nothing_heavy(old):
    code = (
        "import sys; from data_juicer_sandbox.cli.main import main; assert main(['migrate', 'old.yaml']) == 0;"
        "print([name for name in ('pandas', 'numpy', 'torch', 'data_juicer', 'ray', 'optuna') if name in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=old.parent)
    assert made.stdout.splitlines()[-1] == "[]"
