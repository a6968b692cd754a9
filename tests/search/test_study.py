"""The study's own file after a crash, and what cannot be opened."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from data_juicer_sandbox.cli.main import main

pytest.importorskip("optuna", reason="pip install -e '.[search]'")


def test_what_a_killed_process_left_of_the_journal_goes(lab, sweep, go, table):
    assert go(lab, sweep) == 0
    before = table()
    with Path("out/study.journal").open("a") as stream:
        stream.write('{"op_code": 4, "worker_id": "x')  # torn in the middle of a line
    Path("out/study.journal.lock").symlink_to("study.journal")
    started = time.monotonic()
    assert go(lab, {**sweep, "sweep_max_count": 8}, "--resume", "true") == 0
    assert time.monotonic() - started < 25  # Optuna's grace for a lock whose owner is gone is 30 s
    assert table()[:6] == before
    assert len(table()) == 8


def test_a_journal_that_is_damaged_in_the_middle_is_named(lab, sweep, go, capsys):
    assert go(lab, sweep) == 0
    journal = Path("out/study.journal")
    damaged = bytearray(journal.read_bytes())
    damaged[len(damaged) // 2] = 0xFF  # not UTF-8
    journal.write_bytes(damaged)
    capsys.readouterr()
    assert go(lab, sweep, "--resume", "true") == 2
    said = capsys.readouterr().err
    assert "out/study.journal: the study cannot be opened: " in said
    assert "mv out/study.journal out/study.journal.damaged; its trials will run again" in said
    assert journal.read_bytes() == damaged


def test_a_storage_that_is_not_there(lab, sweep, go, capsys):
    assert go(lab, {**sweep, "storage": "sqlite:////no/such/folder/study.db"}) == 2
    said = capsys.readouterr().err
    assert re.search(r"sweep\.yaml:\d+: the study cannot be opened: ", said)
    assert " started" not in said  # no job has run in vain


def test_no_password_of_a_storage_is_shown(lab, sweep, go, capsys):
    assert go(lab, {**sweep, "storage": "postgresql://me:hunter2hunter2@nowhere.invalid/db"}) == 2
    said = capsys.readouterr().err
    assert "the study cannot be opened" in said
    for text in (said, Path("out/sandbox.log").read_text(), Path("out/config.json").read_text()):
        assert "hunter2hunter2" not in text


def test_a_named_journal_whose_last_line_is_torn_is_repaired(lab, sweep, go, table):
    sweep["storage"] = "shared.journal"
    assert go(lab, sweep) == 0
    before = table()
    with Path("shared.journal").open("a") as stream:
        stream.write('{"op_code": 4, "worker_id": "x')
    for count in (8, 9):
        assert go(lab, {**sweep, "sweep_max_count": count}, "--resume", "true") == 0
    assert table()[:6] == before
    assert len(table()) == 9


@pytest.mark.parametrize(
    ("sampler", "reason"),
    [
        ("BruteForceSampler", "step"),
        ({"name": "TPESampler", "n_startup_trials": "many"}, "TPESampler"),
        ({"name": "TPESampler", "n_startup": 3}, "TPESampler takes no 'n_startup'"),
        ({"name": "PartialFixedSampler"}, "PartialFixedSampler needs"),
        ("GPSampler", None),
        ("CmaEsSampler", None),
        ("QMCSampler", None),
        ({"name": "CmaEsSampler", "n_startup_trials": "x"}, "CmaEsSampler"),
    ],
)
def test_a_sampler_that_cannot_draw_is_an_error_of_the_config(lab, sweep, config_file, capsys, sampler, reason):
    config_file({**sweep, "sampler": sampler}, "sweep.yaml")
    code = main(["validate", "--config", str(config_file(lab))])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if reason is not None:
        assert code == 2
        assert reason in said
    assert (code == 0) or "sweep.yaml:" in said
