"""Both views are told the same; one draws bars, the other writes quiet lines."""

import io
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from data_juicer_sandbox.terminal import plain_view
from data_juicer_sandbox.terminal.plain_view import PlainView
from data_juicer_sandbox.terminal.progress import view_for
from data_juicer_sandbox.terminal.rich_view import RichView
from data_juicer_sandbox.terminal.view import FailedJob, RunState, SkippedJob, TaskState, duration


def tell(view):
    """A run with everything in it."""
    view.run_started(2, 4)
    view.pipeline_started("p1")
    view.job_kept("p1", "corpus", "nothing changed")
    view.job_started("p1", "train", "TrainModelHook")
    with view.task("training", total=10) as task:
        task.advance()
        task.advance(2)
        task.update(completed=5, note="loss [2.5]")
    view.job_done("p1", "train", 123.4, "2 models")
    view.pipeline_started("p2")
    view.job_started("p2", "eval", "EvaluateModelHook")
    view.job_done("p2", "eval", 0.5)
    view.job_started("p2", "score", "EvaluateModelHook")
    view.job_failed("p2", "score", 0.5, "no [model] there\nlook again")
    view.failure("p2.score", "no [model] there\nlook again", "/w/run.log", "dj-sandbox --config x.yaml --resume true")
    view.job_skipped("p2", "rank", "p2.score")
    view.failures([FailedJob("p2.mix", "no [rows]\nnone", "/w/mix.log")], [SkippedJob("p2.rank", "p2.mix")], "again")
    view.run_done(130, 3, 1, ["report: /w/report.html"])
    view.table("Scores", ["model", "bpb", "n"], [["a [b]", 2.6912345, 3], ["bb", None, 10000]])
    view.close()
    view.close()


@pytest.mark.parametrize("cls", [PlainView, RichView])
def test_all_that_matters_is_said(cls):
    view = cls(io.StringIO())
    tell(view)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", view.stream.getvalue())
    for words in (
        "p1.corpus", "kept: nothing changed", "p1.train", "2 min 03 s", "2 models", "p2.eval", "no [model] there",
        "look again", "/w/run.log", "dj-sandbox --config x.yaml --resume true", "report: /w/report.html",
        "p2.rank", "skipped: p2.score failed", "1 job, 1 job skipped", "no [rows]", "/w/mix.log", "again",
        "p2.rank was skipped: p2.mix failed", "Scores", "2.6912", "10000", "a [b]",
    ):  # fmt: skip
        assert words in said, words
    assert "None" not in said


def test_plain_lines():
    view = PlainView(io.StringIO())
    tell(view)
    lines = view.stream.getvalue().splitlines()
    assert lines[:6] == [
        "4 jobs in 2 pipelines",
        "[1/4] p1.corpus kept: nothing changed",
        "[2/4] p1.train (TrainModelHook) started",
        "[2/4] p1.train done in 2 min 03 s: 2 models",
        "[3/4] p2.eval (EvaluateModelHook) started",
        "[3/4] p2.eval done in 0.50 s",
    ]
    assert lines[-5:-1] == [
        "model     bpb      n",
        "-----  ------  -----",
        "a [b]  2.6912      3",
        "bb             10000",
    ]


def test_a_long_task_says_a_line_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(plain_view.time, "monotonic", lambda: now[0])
    view = PlainView(io.StringIO())
    with view.task("training", total=100) as task:
        for _ in range(100):
            now[0] += 1
            task.advance()
            task.update(note="loss 2")
    assert view.stream.getvalue().splitlines() == [
        f"  training: {n}/100  loss 2, about {left} left"
        for n, left in ((30, "70.0 s"), (60, "40.0 s"), (90, "10.0 s"))
    ]


def test_the_line_of_a_long_task_counts_the_models(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(plain_view.time, "monotonic", lambda: now[0])
    view = PlainView(io.StringIO())
    with view.task("model", total=30) as models:
        for seed in (1, 2, 3):
            with view.task(f"training docs_seed{seed}", total=10) as task:
                now[0] += 15
                task.advance(5)
            models.advance()
    assert view.stream.getvalue().splitlines() == [
        "  model 2 of 30, training docs_seed2: 5/10, about 14 min 30 s left",
    ]


def test_a_job_that_reports_nothing_is_named_every_now_and_then(monkeypatch):
    monkeypatch.setattr(plain_view, "EVERY", 0.05)
    view = PlainView(io.StringIO())
    view.run_started(1, 1)
    view.job_started("p", "stats", "ProbeViaAnalyzerHook")
    end = time.monotonic() + 20
    while "p.stats has run for" not in view.stream.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    view.job_done("p", "stats", 1)
    view.run_done(1, 1, 0)
    written = view.stream.getvalue()
    assert "  p.stats has run for 0.0" in written
    time.sleep(0.2)
    assert view.stream.getvalue() == written


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0.00 s"), (9.99, "9.99 s"), (12.34, "12.3 s"), (247, "4 min 07 s"), (7500, "2 h 05 min")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_a_file_gets_the_plain_view_and_rich_stays_out():
    code = (
        "import sys\n"
        "from data_juicer_sandbox.terminal.progress import view_for\n"
        "view = view_for(sys.stderr)\n"
        "view.run_started(0, 0)\n"
        "assert type(view).__name__ == 'PlainView'\n"
        "assert not any(name.startswith('rich') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def on_a_terminal(code, **environment):
    """What a program writes to a real (pseudo) terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **environment}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    seen, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        elif process.poll() is not None:
            break
    assert process.wait(10) == 0, seen
    os.close(ours)
    return seen.decode()


LIVE = """
import sys, time, pathlib, tempfile
from loguru import logger
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.progress import view_for
logs.setup(pathlib.Path(tempfile.mkdtemp()) / 'x.log', False)
view = view_for(sys.stderr)
assert type(view).__name__ == 'RichView'
view.run_started(1, 2)
view.job_started('p', 'a', 'SomeHook')
with view.task('training', total=4) as task:
    for step in range(4):
        task.advance()
        task.update(note='loss %d' % step)
        time.sleep(0.2)
        if step == 2:
            logger.warning('take care')
            print('a print')
view.job_done('p', 'a', 1.0)
view.run_done(1.0, 1, 1)
view.close()
logs.close()
"""


def test_bars_on_a_terminal():
    seen = on_a_terminal(LIVE)
    assert "training" in seen
    assert "loss 1" in seen
    assert "p.a (SomeHook)" in seen
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r", "\n").split("\n")
    lines = [line.strip() for line in plain]
    assert lines.count("WARNING: take care") == 1  # on a line of its own: not torn by the bars
    assert lines.count("a print") == 1
    assert "\x1b[3" in seen
    assert seen.rstrip().endswith("done\x1b[0m in 1.00 s: 1 run, 1 kept")
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")  # the cursor is back


def test_no_color_is_respected():
    seen = on_a_terminal(LIVE, NO_COLOR="1")
    assert "WARNING: take care" in seen
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", seen)


def test_a_dumb_terminal_gets_plain_lines():
    code = "import sys; from data_juicer_sandbox.terminal.progress import view_for as v; print(type(v(sys.stderr)))"
    assert "PlainView" in on_a_terminal(code, TERM="dumb")


def test_view_for_a_stream():
    assert isinstance(view_for(io.StringIO()), PlainView)


def running_state(n_running, n_queued):
    now = time.time()
    tasks = [
        TaskState(f"p.train: seed{n}", f"pid {n}", now - 75, "training", n, 100, f"loss {n}") for n in range(n_running)
    ]
    tasks.insert(0, TaskState("p.first", "queued", now - 5))
    tasks += [TaskState(f"p.eval{n}", "queued", now - 5) for n in range(n_queued - 1)]
    return RunState(tuple(tasks), 4, 3, 1, 20)


def test_tasks_side_by_side_on_one_line(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(plain_view.time, "monotonic", lambda: now[0])
    view = PlainView(io.StringIO())
    for _ in range(4):
        view.running(running_state(5, 2))
        now[0] += 10
    assert view.stream.getvalue().splitlines() == [
        "  20 jobs: 3 done, 1 failed or skipped, 4 waiting, 12 started; p.train: seed0: training 0/100 loss 0;"
        " p.train: seed1: training 1/100 loss 1; p.train: seed2: training 2/100 loss 2; 2 more tasks; 2 queued"
    ]


def test_jobs_that_end_in_another_order_keep_their_numbers():
    view = PlainView(io.StringIO())
    view.run_started(1, 3)
    view.job_started("p", "a", "SomeHook")
    view.job_started("p", "b", "SomeHook")
    view.job_done("p", "b", 1)
    view.job_failed("p", "a", 1, "bad")
    view.job_skipped("p", "c", "p.a")
    view.close()
    assert [line.split(maxsplit=2)[:2] for line in view.stream.getvalue().splitlines()[1:]] == [
        ["[1/3]", "p.a"], ["[2/3]", "p.b"], ["[2/3]", "p.b"], ["[1/3]", "p.a"], ["[3/3]", "p.c"],
    ]  # fmt: skip


TASKS = """
import sys, time
from data_juicer_sandbox.terminal.progress import view_for
from data_juicer_sandbox.terminal.view import RunState, TaskState
view = view_for(sys.stderr)
view.run_started(2, 20)
now = time.time()
tasks = [TaskState('p.eval%d' % n, 'queued', now - 5) for n in range(3)]
tasks += [TaskState('p.train: seed%d' % n, 'pid %d' % n, now - 75, 'training', n, 100, 'l %d' % n) for n in range(30)]
view.running(RunState(tuple(tasks), 4, 3, 1, 20))
time.sleep(0.5)
view.close()
"""


@pytest.mark.parametrize(("lines", "shown"), [(12, 7), (50, 33)])
def test_a_table_of_tasks_that_fits_the_terminal(lines, shown):
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_a_terminal(TASKS, LINES=str(lines)))
    screen = seen.replace("\r", "\n").split("jobs ")[-1]
    rows = [line for line in screen.split("\n") if re.match(r"p\.(train|eval)", line)]
    assert len(rows) == shown
    assert re.match(r"p\.train: seed0 +pid 0 +7[5-9] s .*training 0/100 +l 0", rows[0])
    assert "3 done, 1 failed or skipped, 4 waiting" in screen
    assert ("and 26 more, 3 of them queued" in screen) == (shown == 7)
    assert ("p.eval2" in screen) == (shown == 33)
    assert "pipelines" not in screen
