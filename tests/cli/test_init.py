"""`dj-sandbox init` writes a config that is valid as it stands, and runs."""

from __future__ import annotations

import json

import pytest
import yaml

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write rows to a JSON Lines file in the current folder."""
    monkeypatch.chdir(tmp_path)

    def rows(name, values):
        (tmp_path / name).write_text("".join(json.dumps(value) + "\n" for value in values))
        return name

    return rows


def texts(count, key="text", start=0):
    sizes = (n % 7 + 1 for n in range(count))
    return [{key: f"Text {start + n}: " + "all work and no play; " * size, "id": n} for n, size in enumerate(sizes)]


def test_the_config_is_valid_and_says_what_it_knows_of_the_data(write, capsys):
    write("data.jsonl", texts(60))
    write("heldout.jsonl", texts(10, start=100))
    assert main(["init", "data.jsonl", "heldout.jsonl", "-o", "lab/x.yaml"]) == 0
    shown = capsys.readouterr()
    assert "data.jsonl: 60 rows; texts in 'text': about 1," in shown.out
    assert "other fields: id" in shown.out
    assert shown.out.splitlines()[-1] == "  dj-sandbox lab/x.yaml"
    assert shown.err == ""
    assert main(["validate", "lab/x.yaml"]) == 0
    content = yaml.safe_load(open("lab/x.yaml", encoding="utf-8"))  # noqa: PTH123, SIM115
    assert len(content["vars"]["seeds"]) >= 3
    assert Sandbox("lab/x.yaml").config.variables["vars.max_tokens"] <= 2_000


@pytest.mark.parametrize("key", ["body of ${x}", 'a "b" # c: d', "文本"])
def test_odd_field_names_and_paths(write, key, tmp_path):
    name = write('odd ${name} "x" #.jsonl', texts(30, key))
    heldout = write("held: out.jsonl", texts(5, key, 50))
    assert main(["init", name, heldout]) == 0
    config = Sandbox("sandbox.yaml").config
    assert config.variables["vars.data"] == name
    assert config.variables["vars.text_field"] == key
    (stats,) = (job for job in config.jobs() if job.meta_name == "stats")
    assert stats.dj_configs["dataset_path"] == name


def test_the_longest_texts_are_those_of_the_model(write, capsys):
    rows = [{"title": f"t {n}", "story": "once upon a time " * 5 + str(n)} for n in range(30)]
    write("data.jsonl", rows)
    write("heldout.jsonl", rows[:3])
    assert main(["init", "data.jsonl", "heldout.jsonl"]) == 0
    shown = capsys.readouterr()
    assert "texts in 'story'" in shown.out
    assert "warning: 3 held-out texts are also in data.jsonl" in shown.err


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"messages": []}] * 30, (), "looks like chat data"),
        ([{"x": 1}] * 30, (), "no field holds a text in at least half of the rows"),
        (texts(5), (), "5 texts are too few"),
        ([], (), "no rows"),
        (texts(30), ("--text-key", "body"), "no row has a text in 'body'"),
    ],
)
def test_data_that_cannot_be_used_is_one_error(write, rows, options, message, capsys, tmp_path):
    write("data.jsonl", rows)
    write("heldout.jsonl", texts(5))
    assert main(["init", "data.jsonl", "heldout.jsonl", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sandbox.yaml").exists()


def test_an_existing_file_is_kept_and_missing_data_is_named(write, capsys, tmp_path):
    write("data.jsonl", texts(30))
    assert main(["init", "data.jsonl", "missing.jsonl"]) == 2
    assert "missing.jsonl" in capsys.readouterr().err
    (tmp_path / "sandbox.yaml").write_text("mine")
    assert main(["init", "data.jsonl", "data.jsonl"]) == 2
    assert "exists (use --force" in capsys.readouterr().err
    assert (tmp_path / "sandbox.yaml").read_text() == "mine"
    assert main(["init", "data.jsonl", "data.jsonl", "--force"]) == 0


@pytest.mark.slow
def test_the_config_runs_as_it_stands(write, dj_sandbox):
    write("data.jsonl", texts(60, "body"))
    write("heldout.jsonl", texts(8, "body", 100))
    assert dj_sandbox("init", "data.jsonl", "heldout.jsonl").returncode == 0
    done = dj_sandbox("sandbox.yaml", timeout=600)
    assert done.returncode == 0, done.stderr
    assert "ranking.rank: pools, best first; baseline: control" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("ranking.rank: ")
