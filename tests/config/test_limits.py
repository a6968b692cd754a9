"""Config texts that would take all memory, crash the process or never end: one error with its line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.config.yaml_source import parse, read
from data_juicer_sandbox.errors import ConfigError


def aliases(levels=10, width=10):
    """Each line is a list of the line before, `width` times: 10**10 values in 600 bytes."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def merges(levels=10, width=10):
    lines = ["a0: &a0 {k0: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * width)}], k{n}: 1}}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def indented(depth):
    return "".join("  " * n + f"k{n}:\n" for n in range(depth)) + "  " * depth + "x\n"


BOMBS = {
    "aliases": (aliases(), "aliases repeat more than 100,000 values"),
    "merge keys": (merges(), "aliases repeat more than 100,000 values"),
    "aliases of mappings": ("a0: &a0 {x: 1}\n" + aliases().replace("a0: &a0 [x]\n", ""), "aliases repeat more than"),
    "brackets": ("[" * 50_000, "nested more than 100 levels deep"),
    "closed brackets": ("x: " + "[" * 50_000 + "]" * 50_000, "nested more than 100 levels deep"),
    "braces": ('{"a":' * 50_000, "nested more than 100 levels deep"),
    "indentation": (indented(900), "nested more than 100 levels deep"),
    "sequences in a line": ("- " * 5_000 + "x", "nested more than 100 levels deep"),
    "a long integer": ("x: " + "7" * 5_000, "cannot be read as a value"),
    "a date that is none": ("x: 2026-13-45", "cannot be read as a value"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_one_error_with_its_line(name, tmp_path):
    text, message = BOMBS[name]
    with pytest.raises(ConfigError, match=message) as caught:
        parse(text, "f.yaml")
    assert caught.value.where.line is not None


@pytest.mark.parametrize("where", ["config", "job file", "dj_configs", "extra_configs", "hpo_config"])
@pytest.mark.parametrize("name", ["aliases", "brackets", "braces", "a long integer"])
def test_every_config_file_is_read_within_limits(name, where, tmp_path, config_file, capsys):
    config_file(BOMBS[name][0], "bomb.yaml")
    job = {"hook": "GeneralProbeHook", "extra_configs": {"type": "toy_lab.steps.Give"}}
    config: dict = {"probe_job_configs": [job]}
    if where == "job file":
        config["probe_job_configs"] = ["bomb.yaml"]
    elif where == "hpo_config":
        config["hpo_config"] = "bomb.yaml"
    elif where != "config":
        job[where] = "bomb.yaml"
    path = config_file(BOMBS[name][0] if where == "config" else config)
    assert main(["validate", "--config", str(path)]) == 2
    said = capsys.readouterr()
    assert BOMBS[name][1] in said.err + said.out
    assert "Traceback" not in said.err


def test_in_a_process_of_its_own_within_its_memory(tmp_path):
    """The crash of the C library, or gigabytes, would end a process, not a test."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30));"
        "from data_juicer_sandbox.cli.main import main; sys.exit(main(['validate', '--config', sys.argv[1]]))"
    )
    for text, message in BOMBS.values():
        for ending in ("yaml", "json"):
            path = tmp_path / f"bomb.{ending}"
            path.write_text(text)
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 2, done.stderr
            if ending == "yaml":
                assert message in done.stderr + done.stdout
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["aliases", "brackets", "braces"])
def test_flags_and_variables_are_read_within_limits(name, config_file, capsys, monkeypatch):
    path = str(config_file({}))
    for arguments in (["--pipelines", BOMBS[name][0]], [f"--pipelines={BOMBS[name][0]}"]):
        assert main(["validate", "--config", path, *arguments]) == 2
        assert BOMBS[name][1] in capsys.readouterr().err
    monkeypatch.setenv("DJ_SANDBOX_PIPELINES", BOMBS[name][0])
    assert main(["validate", "--config", path]) == 2
    assert "DJ_SANDBOX_PIPELINES" in capsys.readouterr().err


def test_what_is_large_and_honest_is_read():
    rows = [{"text": f"row {n}", "n": n} for n in range(20_000)]
    assert parse(yaml.dump({"rows": rows}, Dumper=yaml.CSafeDumper), "f.yaml").value == {"rows": rows}
    assert parse(json.dumps({"rows": rows}), "f.json").value == {"rows": rows}
    shared = "base: &b {a: 1, b: 2}\n" + "".join(f"k{n}: *b\n" for n in range(500))
    assert parse(shared, "f.yaml").value["k499"] == {"a": 1, "b": 2}
    assert parse("[" * 99 + "]" * 99, "f.yaml").value


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "file.zero"])
def test_what_is_no_file_is_refused_at_once(kind, tmp_path):
    path = {"pipe": tmp_path / "pipe", "folder": tmp_path, "device": "/dev/zero", "file.zero": "a\0b"}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(
        ConfigError, match=r"expected a file, got (a pipe or device|a folder)|cannot be read: it contains a zero byte"
    ):
        read(path)


def test_a_pipe_of_the_shell_is_read(tmp_path):
    validate = f"{sys.executable} -m data_juicer_sandbox.cli.main validate"
    command = f"{validate} --config <(sleep 0.2; echo 'work_dir: {tmp_path}/o')"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("data_juicer_sandbox.config.yaml_source.MAX_BYTES", 100)
    (tmp_path / "x.yaml").write_text("a: 1\n" * 100)
    with pytest.raises(ConfigError, match="larger than"):
        read(tmp_path / "x.yaml")


@pytest.mark.parametrize("command", [["validate"], []])
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("hook", ["DataPoolManipulationHook", "ProcessDataHook", "TrainModelHook"])
def test_a_pipe_or_device_is_no_data_set(command, kind, hook, config_file, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.jsonl")
    path = "pipe.jsonl" if kind == "pipe" else "/dev/zero"
    job: dict = {"hook": hook}
    if hook == "ProcessDataHook":
        job["dj_configs"] = {"dataset_path": path, "export_path": "o.jsonl", "process": [{"text_length_filter": {}}]}
    else:
        kinds = {"DataPoolManipulationHook": "data_pool_duplication", "TrainModelHook": "trl_sft"}
        job["extra_configs"] = {"type": kinds[hook], "dataset_path": path, "export_path": "o"}
        job["extra_configs"] |= {"model": "m"} if hook == "TrainModelHook" else {"duplicating_times": [2]}
    config = config_file({"work_dir": "out", "execution_job_configs": [job]})
    assert main([*command, "--config", str(config)]) == 2
    assert "a pipe or device" in capsys.readouterr().err


def test_a_pipe_that_a_result_names_does_not_hang(config_file, tmp_path, capsys):
    """`input` brings it, so that only the run can notice it."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    give = {"hook": "GeneralProbeHook", "meta_name": "give", "output": "path"}
    give["extra_configs"] = {"type": "toy_lab.steps.Give", "value": "./pipe.jsonl"}
    use = {"hook": "EvaluateDataHook", "input": {"extra_configs.dataset_path": "give.path"}}
    use["extra_configs"] = {"type": "toy_lab.steps.SumRows"}
    config = {"work_dir": "out", "probe_job_configs": [give], "evaluation_job_configs": [use]}
    assert main(["--config", str(config_file(config))]) == 1
    assert "a pipe or device" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["project_name", "experiment_name", "work_dir"])
def test_zero_bytes_in_names(key, config_file, capsys):
    path = config_file(json.dumps({key: "a\0b"}), "x.json")
    assert main(["validate", "--config", str(path)]) == 2
    assert "zero byte" in capsys.readouterr().err


def test_zero_bytes_in_pipelines_jobs_and_outputs(config_file, capsys):
    rows = {"type": "inline_rows", "rows": [{}], "export_path": "a\0.jsonl"}
    jobs = [{"hook": "GeneralDataExecutorHook", "meta_name": "j\0", "extra_configs": rows}]
    path = config_file(json.dumps({"pipelines": {"p\0q": {"execution_job_configs": jobs}}}), "x.json")
    assert main(["validate", "--config", str(path)]) == 2
    said = capsys.readouterr().err
    assert "3 errors" in said
    assert said.count("x.json:1") == 3


@pytest.mark.parametrize("target", ["cProfile.Profile", "os.system", "unittest.TestCase", "pathlib.Path", "json.dumps"])
def test_what_is_no_component_is_one_error(target, config_file, capsys):
    jobs = [{"hook": "GeneralProbeHook", "extra_configs": {"type": target}}]
    assert main(["validate", "--config", str(config_file({"probe_job_configs": jobs}))]) == 2
    said = capsys.readouterr().err
    assert "1 error in the config" in said
    assert "is not a component" in said or "not a class" in said
