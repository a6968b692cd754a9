"""Values that are valid YAML, and never what their writer meant: no limit, an unset variable, a home folder."""

from pathlib import Path

import pytest

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.components.number_types import PositiveFloat
from data_juicer_sandbox.type_conversion import ConversionError, convert

JOB = {"hook": "GeneralProbeHook", "meta_name": "g", "extra_configs": {"type": "toy_lab.steps.Give", "value": 1}}


def config(**keys):
    return {"work_dir": "out", "probe_job_configs": [JOB], **keys}


@pytest.mark.parametrize("hours", [float("nan"), float("inf"), 0, -1])
def test_a_limit_in_hours_is_finite(config_file, capsys, hours):
    assert main(["validate", "--config", str(config_file(config(max_hours=hours)))]) == 2
    assert "sandbox.yaml:" in (error := capsys.readouterr().err)
    assert "'max_hours' must be more than 0, and finite" in error


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), ".inf", ".nan"])
def test_a_number_with_bounds_is_finite(value):
    for hint in (PositiveFloat, PositiveFloat | None):
        with pytest.raises(ConversionError, match="float > 0"):
            convert(value, hint)
    assert repr(convert(value, float)) == repr(float(str(value).lstrip(".")))


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_work_dir_is_refused(config_file, capsys, text):
    assert main(["validate", "--config", str(config_file(config())), "--work_dir", text]) == 2
    assert "--work_dir: 'work_dir' cannot name a file or folder: it is empty" in capsys.readouterr().err


def test_a_home_folder_is_refused_with_its_full_path(config_file, capsys):
    rows = {"type": "inline_rows", "rows": ["a"], "key": "text", "export_path": "~/rows.jsonl"}
    jobs = [{"hook": "GeneralDataExecutorHook", "extra_configs": rows}]
    assert main(["validate", "--config", str(config_file({"work_dir": "~/out", "execution_job_configs": jobs}))]) == 2
    error = capsys.readouterr().err
    assert f"write {str(Path('~/out').expanduser())!r}" in error
    full_path = str(Path("~/rows.jsonl").expanduser())
    assert f"`extra_configs.export_path`: `~` is not expanded in a config; write {full_path!r}" in error


def test_variables_that_set_nothing_are_named(config_file, capsys, monkeypatch):
    monkeypatch.setenv("DJ_SANDBOX_RESUM", "true")
    monkeypatch.setenv("DJ_SANDBOX_DEBUG", "")
    assert main(["validate", "--config", str(config_file(config()))]) == 0
    error = capsys.readouterr().err
    assert "DJ_SANDBOX_RESUM is unknown and ignored (did you mean 'DJ_SANDBOX_RESUME'" in error
    assert "DJ_SANDBOX_DEBUG is empty" in error


def test_what_resume_would_keep_and_nothing_to_resume(config_file, capsys):
    path = str(config_file(config()))
    assert main(["--config", path, "--resume", "true"]) == 0
    assert "nothing to resume: out has no results of an earlier run" in capsys.readouterr().err
    assert main(["--config", path, "--resume", "true"]) == 0
    assert "nothing to resume" not in capsys.readouterr().err
    assert main(["--config", path]) == 0
    assert "`--resume true` would have kept its 1 finished job" in capsys.readouterr().err
