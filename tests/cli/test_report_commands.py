"""`dj-sandbox report` and `compare`, as commands."""

import json

import pytest


@pytest.fixture
def run(tmp_path):
    def make(name, value):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        row = {"time": 1.0, "pipeline": "p", "job": "score", "name": "score.bpb", "value": value}
        (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        (folder / "config.json").write_text(json.dumps({"seed": value}))
        return folder

    return make


def test_report_by_work_dir_and_by_config(dj_sandbox, run, tmp_path):
    folder = run("out", 2.5)
    done = dj_sandbox("report", "--work_dir", "out")
    assert (done.returncode, done.stdout) == (0, "out/report.html\n")
    (folder / "report.html").unlink()
    (tmp_path / "x.yaml").write_text("work_dir: out\nevaluation_job_configs:\n  - hook: EvaluateModelHook\n")
    done = dj_sandbox("report", "--config", "x.yaml")
    assert done.returncode == 0, done.stderr
    assert "score" in (folder / "report.html").read_text()


def test_report_faults(dj_sandbox, run, tmp_path):
    assert dj_sandbox("report").returncode == 2
    done = dj_sandbox("report", "--work_dir", "nowhere")
    assert done.returncode == 2
    assert "no run has used this folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_compare_on_the_terminal_and_as_a_page(dj_sandbox, run, tmp_path):
    run("a", 2.5)
    run("b", 2.25)
    done = dj_sandbox("compare", "a", "b")
    assert done.returncode == 0
    assert ["p.score.bpb", "2.5", "2.25"] in [line.split() for line in done.stdout.splitlines()]
    assert ["seed", "2.5", "2.25"] in [line.split() for line in done.stdout.splitlines()]
    assert dj_sandbox("compare", "a", "b", "--html", "c.html").returncode == 0
    assert "2.25" in (tmp_path / "c.html").read_text()
    assert "p.score.bpb" not in dj_sandbox("compare", "a", "b", "--metrics", "*.loss").stdout
    assert dj_sandbox("compare", "a", "none").returncode == 2


def test_pages_of_others_are_not_replaced(dj_sandbox, run, tmp_path):
    """A page of the user's is renamed by `report`, whose file name is fixed, and refused by `compare`."""
    run("a", 2.5)
    run("b", 2.25)
    own = '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>the user\'s own</title>'
    for name in ("a/report.html", "index.html"):
        (tmp_path / name).write_text(own)
    for _ in range(2):
        assert dj_sandbox("report", "--work_dir", "a").returncode == 0
    (aside,) = (tmp_path / "a").glob("previous_report.html_*")
    assert aside.read_text() == own
    done = dj_sandbox("compare", "a", "b", "--html", "index.html")
    assert done.returncode == 2
    assert "index.html exists, and is not a page as dj-sandbox wrote it" in done.stderr
    assert (tmp_path / "index.html").read_text() == own
    for _ in range(2):
        assert dj_sandbox("compare", "a", "b", "--html", "c.html").returncode == 0


def test_edited_pages_and_links_are_not_replaced(dj_sandbox, run, tmp_path):
    run("a", 2.5)
    assert dj_sandbox("compare", "a", "--html", "c.html").returncode == 0
    assert dj_sandbox("report", "--work_dir", "a").returncode == 0
    page, report = tmp_path / "c.html", tmp_path / "a/report.html"
    for path in (page, report):
        path.write_text(path.read_text().replace("<body>", "<body>my notes"))
    for name, target in (("to_page", "c.html"), ("to_nothing", "missing.html"), ("to_device", "/dev/null")):
        (tmp_path / name).symlink_to(target)
    for name in ("c.html", "to_page", "to_nothing", "to_device"):
        done = dj_sandbox("compare", "a", "--html", name)
        assert done.returncode == 2
        assert f"{name} exists, and is not a page as dj-sandbox wrote it" in done.stderr
        assert (tmp_path / name).is_symlink() == (name != "c.html")
    assert "my notes" in page.read_text()
    assert dj_sandbox("report", "--work_dir", "a").returncode == 0
    (aside,) = (tmp_path / "a").glob("previous_report.html_*")
    assert "my notes" in aside.read_text()
