"""`StatusView`: the state of a run in `running.json`."""

from __future__ import annotations

import os

import pytest

from data_juicer_sandbox.engine import status_view
from data_juicer_sandbox.engine.status_view import StatusView
from data_juicer_sandbox.parallel.status import FILE, read_status, write_status
from data_juicer_sandbox.terminal.silent_view import SilentView
from data_juicer_sandbox.terminal.view import RunState, TaskState


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(status_view.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(status_view.time, "time", lambda: now[0])
    return now


def test_the_job_that_runs_is_the_only_task(tmp_path, clock):
    view = StatusView(SilentView(), tmp_path)
    view.run_started(1, 5)
    view.job_kept("p", "a", "nothing changed")
    view.job_started("p", "b", "SomeHook")
    where = f"pid {os.getpid()}"
    assert read_status(tmp_path).state == RunState((TaskState("p.b", where, 1000.0),), 3, 1, 0, 5)
    with view.task("models", total=2), view.task("training", total=10) as task:
        clock[0] += 1
        task.update(completed=3, note="loss 2")
        expected = TaskState("p.b", where, 1000.0, "training", 3, 10, "loss 2")
        assert read_status(tmp_path).state.tasks == (expected,)
        task.advance()
        assert read_status(tmp_path).state.tasks == (expected,)  # at most once a second
    view.job_done("p", "b", 1.0)
    assert read_status(tmp_path).state == RunState((), 3, 2, 0, 5)
    view.job_started("p", "c", "SomeHook")
    view.job_failed("p", "c", 1.0, "bad")
    view.job_skipped("p", "d", "p.c")
    view.job_started("p", "e", "SomeHook")
    assert read_status(tmp_path).state == RunState((TaskState("p.e", where, 1001.0),), 0, 2, 2, 5)
    view.pass_started("iteration 2", 5)
    assert read_status(tmp_path).state == RunState((), 5, 0, 0, 5)
    view.close()
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_jobs_side_by_side_is_that_of_their_runner(tmp_path, clock):
    view = StatusView(SilentView(), tmp_path, "slurm")
    view.run_started(1, 2)
    state = RunState((TaskState("p.a", "node7", 990.0), TaskState("p.b", "queued", 991.0)), 0, 0, 0, 2)
    view.running(state)
    view.job_started("p", "a", "SomeHook")
    assert (read_status(tmp_path).state, read_status(tmp_path).backend) == (state, "slurm")
    view.pass_started("trial 1", 2)
    view.job_started("p", "a", "SomeHook")
    assert [task.label for task in read_status(tmp_path).state.tasks] == ["p.a"]


def test_a_new_run_removes_the_state_of_a_killed_one_and_keeps_a_file_of_the_user(tmp_path):
    write_status(tmp_path, "serial", RunState((), 1, 0, 0, 1))
    StatusView(SilentView(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / FILE).write_text('{"written": "by somebody else"}')
    StatusView(SilentView(), tmp_path).run_started(1, 2)
    assert read_status(tmp_path).state.total == 2
    assert '{"written": "by somebody else"}' in [path.read_text() for path in tmp_path.iterdir()]


def test_a_state_that_cannot_be_written_fails_no_run(tmp_path):
    view = StatusView(SilentView(), tmp_path / "gone")
    view.run_started(1, 2)
    view.close()


def test_a_folder_with_the_name_of_the_state_is_renamed(tmp_path):
    (tmp_path / FILE).mkdir()
    StatusView(SilentView(), tmp_path).run_started(1, 2)
    assert read_status(tmp_path).state.total == 2
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
