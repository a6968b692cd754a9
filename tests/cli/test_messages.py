"""What the commands print names files, fields and values of others: no control character reaches the terminal."""

from __future__ import annotations

import json

import pytest

from data_juicer_sandbox.cli.main import main

ESCAPE = "\x1b[31m\x07"
SHOWN = "\\x1b[31m\\x07"
OLD = {"type": "mse", "predicted_dataset_path": f"a{ESCAPE}", "predicted_value_key": "r", "ground_truth_value_key": "s"}


def rows(field: str) -> str:
    return "".join(json.dumps({"text": f"text number {n} of many", field: n}) + "\n" for n in range(30))


@pytest.mark.parametrize(
    "command",
    [
        ["init", f"data{ESCAPE}.jsonl", "heldout.jsonl"],
        ["init", "heldout.jsonl", "other.jsonl"],
        ["init", "heldout.jsonl", "other.jsonl", "-o", f"new{ESCAPE}.yaml"],
        ["init", "heldout.jsonl", "other.jsonl", "-o", f"exists{ESCAPE}.yaml"],
        ["migrate", f"exists{ESCAPE}.yaml"],
        ["migrate", f"missing{ESCAPE}.yaml"],
        ["validate", f"exists{ESCAPE}.yaml"],
        ["validate", f"good{ESCAPE}.yaml"],
        ["report", f"folder{ESCAPE}"],
        ["compare", f"folder{ESCAPE}", f"folder{ESCAPE}"],
        ["cp", f"name{ESCAPE}"],
        ["list", f"name{ESCAPE}"],
    ],
)  # fmt: skip
def test_control_characters_are_escaped(command, config_file, capsys):
    for name in (f"data{ESCAPE}.jsonl", "other.jsonl"):
        config_file(rows(f"field{ESCAPE}"), name)
    config_file(rows(f"field{ESCAPE}"), "heldout.jsonl")
    job = {"hook": "EvaluateDataHook", "meta_name": "a", "extra_configs": OLD}
    config_file({"evaluation_job_configs": [job]}, f"exists{ESCAPE}.yaml")
    config_file({"project_name": "x", "execution_job_configs": []}, f"good{ESCAPE}.yaml")
    main(command)
    output = capsys.readouterr()
    assert SHOWN in output.out + output.err
    assert not {"\x1b", "\x07"} & set(output.out + output.err)
