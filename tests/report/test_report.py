"""The page: whole, self-contained, escaped, and with what the run left."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from data_juicer_sandbox import report
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.report.compare import compare, render

VOID = {"meta", "line", "polyline", "circle", "br"}


class Page(HTMLParser):
    """Checks that elements close in order; keeps the tables as lists of rows."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.text, self.attributes = [], [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def table(self, *columns):
        return next(table for table in self.tables if table[0][: len(columns)] == list(columns))


@pytest.fixture
def page(run):
    path = report.build(run)
    assert path == run / "report.html"
    return Page(path.read_text())


def test_jobs(page):
    rows = page.table("pipeline", "phase", "job", "hook", "status", "time", "outputs")
    assert [row[2] for row in rows[1:]] == ["probe", "probe_after", "train", "score"]
    assert rows[1][4:] == ["done", "2.00 s", "path: /data/probe.jsonl"]


def test_probes_stand_side_by_side(page):
    rows = page.table("metric", "main.probe", "main.probe_after", "change")
    assert rows[1] == ["text_len.mean", "100", "80", "-20.0%"]
    assert ["rows", "10", "10", "+0.0%"] in rows


def test_scores_are_a_table(page):
    assert page.table("model", "bpb") == [["model", "bpb", "note"], ["<b>a</b>", "2.5", ""], ["b", "3", "x"]]


def test_curves_have_a_line_for_each_model(run, page):
    text = (run / "report.html").read_text()
    assert text.count("<polyline") == 2
    assert "main.train.a" in page.text
    points = re.search(r'<polyline [^>]*points="([^"]*)"', text)[1].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert len(points) == 20
    assert heights == sorted(heights)  # the loss falls; SVG counts downwards


def test_nothing_from_outside_and_no_secrets(run, page):
    text = (run / "report.html").read_text()
    assert not re.search(r"https?://|<script|<link|<img|url\(|@import", text)
    assert not [name for name, _ in page.attributes if name in ("src", "href") or name.startswith("on")]
    assert "abcdefgh123" not in text


def test_a_failed_job_tells_its_error(make_run):
    folder = make_run("bad", extra_job=("x", "evaluation", "H", {}, {"status": "failed", "error": "no <model>"}))
    page = Page(report.build(folder).read_text())
    assert page.table("pipeline")[-1][4:] == ["failed", "2.00 s", "no <model>"]
    assert "1 failed" in page.text


def test_half_a_surrogate_pair_does_not_keep_the_page_from_being_drawn(make_run):
    run = make_run("cut", extra_job=("cut", "probe", "GeneralProbeHook", {"text": "emoji \ud83d"}, {}))
    assert "emoji \\ud83d" in report.build(run).read_text()


def test_several_iterations_are_numbered(run):
    path = run / "context_infos.json"
    context = json.loads(path.read_text())
    context["iterations"] *= 2
    path.write_text(json.dumps(context))
    rows = Page(report.build(run).read_text()).table("iteration", "pipeline")
    assert [row[0] for row in rows[1:]] == ["1"] * 4 + ["2"] * 4


def test_a_run_that_has_only_metrics_yet(run):
    (run / "context_infos.json").unlink()
    assert Page(report.build(run).read_text()).table("metric", "main.probe")


def test_a_run_that_measured_nothing(run):
    (run / "metrics.jsonl").unlink()
    assert len(Page(report.build(run).read_text()).table("pipeline")) == 5


def test_no_run(tmp_path):
    with pytest.raises(WorkDirError, match="no run has used this folder"):
        report.build(tmp_path)


def test_a_damaged_copy_is_replaced_by_the_checkpoint(run):
    (run / "context_infos.json").write_text("{")
    page = Page(report.build(run).read_text())
    assert [row[2] for row in page.table("pipeline")[1:]] == ["probe", "probe_after", "train", "score"]
    assert "context_infos.json is damaged" in page.text
    (run / "context_infos.pkl").write_bytes(b"")
    page = Page(report.build(run).read_text())
    assert "the checkpoint cannot be used" in page.text
    assert page.table("metric", "main.probe")


def test_a_report_that_cannot_be_written_leaves_the_old_one(run):
    report.build(run)
    before = (run / "report.html").read_text()
    code = (
        "import resource, signal, sys; from pathlib import Path; from data_juicer_sandbox import report;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "report.build(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, run], capture_output=True, text=True, check=False)
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert (run / "report.html").read_text() == before
    assert not list(run.glob(".report*"))


def test_compare(make_run):
    one, two = make_run("run1"), make_run("run2", lr=0.2, bpb=2.4)
    found = compare([one, two])
    assert found.names == ["run1", "run2"]
    assert ["main.score.bpb", 2.5, 2.4] in found.metrics
    assert found.configs == [["experiment_name", "run1", "run2"], ["lr", 0.1, 0.2]]
    assert [row[0] for row in compare([one, two], "*.bpb").metrics] == ["main.score.bpb"]
    page = Page(render(found))
    assert ["main.score.bpb", "2.5", "2.4"] in page.table("metric", "run1", "run2")
    assert ["lr", "0.1", "0.2"] in page.table("key")


def test_compare_runs_of_the_same_folder_name(make_run):
    one, two = make_run("x/run"), make_run("y/run")
    assert compare([one, two]).names == [str(one), str(two)]
