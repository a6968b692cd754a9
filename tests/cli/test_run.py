"""The command itself: flags, variables, exit codes, and what a failure ends with."""

import json
import shlex
import subprocess
import sys

import pytest
import yaml

from data_juicer_sandbox.cli.main import exit_code, main


def give(value=1, **keys):
    return {"hook": "GeneralProbeHook", "extra_configs": {"type": "toy_lab.steps.Give", "value": value}, **keys}


def test_flags_win_over_variables_and_variables_over_the_file(config_file, monkeypatch, capsys):
    path = str(config_file({"project_name": "file", "experiment_name": "file", "work_dir": "file"}))
    monkeypatch.setenv("DJ_SANDBOX_PROJECT_NAME", "variable")
    monkeypatch.setenv("DJ_SANDBOX_EXPERIMENT_NAME", "variable")
    assert main(["--config", path, "--experiment_name", "flag", "--print_config"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["project_name"], shown["experiment_name"], shown["work_dir"]) == ("variable", "flag", "file")
    assert shown["resume"] is False


def test_print_config_masks_secrets_and_can_be_run_again(config_file, capsys):
    path = str(config_file({"work_dir": "out", "probe_job_configs": [give({"api_key": "sk-verysecretkey123456"})]}))
    assert main(["--config", path, "--print_config"]) == 0
    shown = capsys.readouterr().out
    assert "verysecret" not in shown
    assert main(["--config", str(config_file(shown, "again.yaml"))]) == 0


def test_job_lists_and_pipelines_can_be_flags(config_file):
    path = str(config_file({"work_dir": "out"}))
    assert main(["--config", path, "--probe_job_configs", json.dumps([give(meta_name="j")])]) == 0
    assert main(["--config", path, "--pipelines", "{p: {probe_job_configs: []}}"]) == 0
    assert main(["--config", path, "--pipelines", "just text"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--confg", "x"],
        ["valdate"],
        ["--config"],
        [],
        ["--config", "none.yaml"],
        ["--config", "x", "--resume", "perhaps"],
    ],
)
def test_bad_usage_exits_2_and_says_so(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("dj-sandbox: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["run", "plan", "validate"])
def test_a_bad_config_exits_2_names_all_and_touches_nothing(command, config_file, capsys, tmp_path):
    path = str(
        config_file({"work_dir": "out", "resme": True, "probe_job_configs": [{"hook": "NoHook"}, give(meta_name=3)]})
    )
    assert main([command, "--config", path]) == 2
    said = capsys.readouterr().err
    assert "3 errors in the config:" in said
    for expected in (
        "unknown key 'resme' (did you mean 'resume'?",
        "unknown hook 'NoHook'",
        "`meta_name` must be a word",
    ):
        assert expected in said
    assert not (tmp_path / "out").exists()


def test_a_failure_ends_with_job_cause_log_and_a_command_that_continues(config_file, tmp_path, support_path, capsys):
    rows = {"type": "toy_lab.steps.MakeRows", "export_path": "rows.jsonl"}
    sums = {"type": "toy_lab.steps.SumRows", "dataset_path": "rows.jsonl", "fail": True}
    config = {
        "probe_job_configs": [{"hook": "GeneralDataExecutorHook", "meta_name": "made", "extra_configs": rows}],
        "evaluation_job_configs": [{"hook": "EvaluateDataHook", "meta_name": "sum it", "extra_configs": sums}],
    }
    assert (
        main(["--config", str(config_file(config, "my config.yaml")), "--work_dir", "my out", "--debug", "false"]) == 1
    )
    said = capsys.readouterr().err
    assert "anonymous.sum it" in said
    assert "told to fail" in said
    assert "my out/sandbox.log" in said
    command = next(line for line in said.splitlines() if "dj-sandbox --config" in line).partition("dj-sandbox")[2]
    sums["fail"] = False
    config_file(config, "my config.yaml")
    assert main(shlex.split(command)) == 0
    said = capsys.readouterr().err
    assert "made kept" in said


def test_debug_shows_the_traceback_and_the_log_has_it_always(config_file, dj_sandbox, tmp_path):
    config_file(
        {
            "work_dir": "out",
            "probe_job_configs": [
                give()
                | {"extra_configs": {"type": "toy_lab.steps.Hidden", "folder": "nowhere", "stem": "x", "number": 1}}
            ],
        }
    )
    made = dj_sandbox("--config", "sandbox.yaml")
    assert made.returncode == 1
    assert "FileNotFoundError" in made.stderr or "No such file" in made.stderr
    assert "Traceback" not in made.stderr
    assert "Traceback" in (tmp_path / "out/sandbox.log").read_text()
    made = dj_sandbox("--config", "sandbox.yaml", "--debug")
    assert made.returncode == 1
    assert "Traceback" in made.stderr


def test_debug_does_not_change_the_exit_code(config_file, tmp_path, capsys):
    config = str(config_file({"work_dir": "out", "probe_job_configs": [give()]}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/metrics.jsonl").symlink_to(tmp_path / "elsewhere")
    for arguments, traceback in (([], False), (["--debug"], True)):
        assert main(["--config", config, *arguments]) == 2
        assert ("Traceback" in capsys.readouterr().err) is traceback


def test_plan_tells_each_job_what_it_reads_and_why(config_file, capsys):
    jobs = [give(meta_name="a", output="x"), give(meta_name="b", input={"extra_configs.value": "a.x"})]
    path = str(config_file({"work_dir": "out", "probe_job_configs": jobs}))
    assert main(["plan", "--config", path]) == 0
    shown = capsys.readouterr().out
    assert "2 of 2 jobs would run" in shown
    assert "not run yet" in shown
    main(["--config", path])
    capsys.readouterr()
    jobs[0]["extra_configs"]["value"] = 2
    config_file({"work_dir": "out", "probe_job_configs": jobs})
    assert main(["plan", "--config", path, "--resume"]) == 0
    shown = capsys.readouterr().out
    assert "config changed: extra_configs.value" in shown
    assert "reads from anonymous.a, which runs again" in shown


def test_help_and_version(capsys):
    for arguments in (["--help"], ["validate", "--help"], ["cp", "--help"]):
        assert main(arguments) == 0
        assert "usage: dj-sandbox" in capsys.readouterr().out
    assert main(["--version"]) == 0


def test_it_is_a_module_too():
    made = subprocess.run(
        [sys.executable, "-m", "data_juicer_sandbox.cli.main", "--version"], capture_output=True, text=True, check=True
    )
    assert made.stdout.startswith("dj-sandbox ")


@pytest.mark.parametrize(("raised", "code"), [(None, 0), (0, 0), (3, 3), ("no data", 1)])
def test_exit_codes_of_system_exit(raised, code, capsys):
    """As the interpreter treats them: `sys.exit("no data")` must not look like success."""
    assert exit_code(SystemExit(raised)) == code
    assert capsys.readouterr().err == ("no data\n" if raised == "no data" else "")
