"""The same results in the same order, whoever does the work; and nothing that hangs or stays behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from data_juicer_sandbox.components.processes import worker_pool
from data_juicer_sandbox.components.processes.worker_pool import WorkerTraceback, run_all
from data_juicer_sandbox.errors import JobError, Where
from data_juicer_sandbox.files import replacing


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(worker_pool, "cores", lambda: 2)
    yield
    assert not multiprocessing.active_children()


def run(function, items, large=True, shared=None):
    return run_all(function, shared, items, "local", large=large)


def times(shared, item):
    return shared * item, os.getpid()


def slower_first(shared, item):
    time.sleep(0.2 if item == 0 else 0)
    return item


@pytest.mark.parametrize("large", [False, True])
def test_results_come_in_order(large):
    items = list(range(50))
    results = list(run(times, items, large, 3))
    assert [result for result, _ in results] == [3 * item for item in items]
    assert ({process for _, process in results} == {os.getpid()}) != large
    assert list(run(slower_first, items, large)) == items
    assert list(run(times, [], large)) == []


def test_one_item_or_one_core_needs_no_workers(monkeypatch):
    assert list(run(times, [1], shared=2)) == [(2, os.getpid())]
    monkeypatch.setattr(worker_pool, "cores", lambda: 1)
    assert list(run(times, [1, 2], shared=2)) == [(2, os.getpid()), (4, os.getpid())]


def large_result(shared, item):
    return bytes([item]) * 5_000_000


def test_results_larger_than_a_pipe():
    assert [result[:1] for result in run(large_result, list(range(9)))] == [bytes([item]) for item in range(9)]


def fails(shared, item):
    if item == 3:
        raise JobError("no good", where=Where("a.jsonl", 7), hint="better")
    if item == 4:
        raise ValueError("later")
    time.sleep(0.01 * (item == 2))
    return item


@pytest.mark.parametrize("large", [False, True])
def test_the_first_error_comes_through_as_it_is(large):
    found = []
    with pytest.raises(JobError) as caught:
        found.extend(run(fails, list(range(99)), large))
    assert str(caught.value) == "a.jsonl:7: no good (better)"
    if large:
        assert isinstance(caught.value.__cause__, WorkerTraceback)
        assert "in fails" in str(caught.value.__cause__)


def dies(shared, item):
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def dies_half_way(shared, item):
    """Its result is larger than the pipe: it is killed while it is being sent."""
    if item == 1:
        Path(shared).write_text(str(os.getpid()))
    return bytes(50_000_000)


def test_a_killed_worker_is_an_error_and_no_hang():
    with pytest.raises(JobError, match="a worker process was killed"):
        list(run(dies, list(range(9))))


def test_a_worker_that_is_killed_while_it_sends(tmp_path):
    results = run(dies_half_way, [0, 1, 2, 3], shared=str(tmp_path / "pid"))
    next(results)  # now nobody reads, until the next result is asked for
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    time.sleep(0.1)
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(JobError, match="a worker process was killed"):
        list(results)


def writes_slowly(shared, item):
    with replacing(Path(shared) / f"{item}.txt") as part:
        part.write_text("half")
        (Path(shared) / f"begun{item}").touch()
        time.sleep(60)


def begun(folder: Path, count: int) -> None:
    while len(list(folder.glob("begun*"))) < count:
        time.sleep(0.01)


def test_who_stops_early_leaves_no_workers_and_no_halves(tmp_path):
    results = run(first_then_slow, list(range(9)), shared=str(tmp_path))
    with closing(results):
        assert next(results) == 0
        begun(tmp_path, 2)
    assert not multiprocessing.active_children()
    assert not [path.name for path in tmp_path.iterdir() if not path.name.startswith("begun")]


def first_then_slow(shared, item):
    return item if item == 0 else writes_slowly(shared, item)


PARENT = """
import sys
sys.path.insert(0, {tests!r})
import test_worker_pool
test_worker_pool.worker_pool.cores = lambda: 2
list(test_worker_pool.run(test_worker_pool.writes_slowly, list(range(9)), shared={folder!r}))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_one_who_asked(tmp_path, number):
    code = PARENT.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True)
    begun(tmp_path, 2)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(parent.pid, number)
    parent.wait(30)
    if number == signal.SIGINT:
        assert not any(Path("/proc", child).exists() for child in children)
        assert not list(tmp_path.glob(".*"))
    else:  # they see it when what they do is done; a run of the sandbox ends them at once
        os.killpg(parent.pid, signal.SIGKILL)
