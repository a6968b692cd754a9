"""The folder of a task: which content is another task, and what is left for the next attempt."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.parallel.task_streams import TaskStreams
from data_juicer_sandbox.parallel.tasks import METRICS, PROGRESS, WARNINGS, Result, Task, TaskFolder


def task(value: object = 1, **changes: object) -> Task:
    job = Job(pipeline="main", phase=Phase.EVALUATION, position=0, hook="EvaluateDataHook", meta_name="job", named=True)
    made = Task("item", job, None, {"value": value}, "out/jobs/job", "out", "out", (), (), item="a")
    return replace(made, **changes)


def finish(folder: Path, what: Task) -> None:
    TaskFolder(folder).prepare(what)
    attempt = TaskFolder(folder)
    attempt.start()
    attempt.write_result(Result(7))


@pytest.mark.parametrize("changes", [{"cwd": "/x"}, {"debug": True}, {"path": ("a",)}, {"python_path": "a:b"}])
def test_what_does_not_change_the_result_is_the_same_task(tmp_path, changes):
    finish(tmp_path / "t", task())
    assert not TaskFolder(tmp_path / "t").prepare(task(**changes))


@pytest.mark.parametrize(
    ("before", "after"), [(1, 2), (1, True), ([1], (1,)), ([["a"], "b"], [["a", "b"]]), ({"a"}, {"b"}), ({"a"}, ["a"])]
)
def test_another_value_is_another_task(tmp_path, before, after):
    finish(tmp_path / "t", task(before))
    assert TaskFolder(tmp_path / "t").prepare(task(after))


def test_equal_texts_that_are_one_object_or_two_are_the_same_task(tmp_path):
    one, other = "text" * 3, "".join(["text"] * 3)
    assert one is not other
    finish(tmp_path / "t", task([one, one]))
    assert not TaskFolder(tmp_path / "t").prepare(task([one, other]))


def test_the_order_of_a_set_does_not_matter(tmp_path):
    code = "\n".join(
        [
            "import sys",
            "from pathlib import Path",
            "from test_tasks import TaskFolder, finish, task",
            "what = task({str(number) for number in range(50)})",
            "print(TaskFolder(Path(sys.argv[1])).prepare(what))",
            "finish(Path(sys.argv[1]), what)",
        ]
    )
    here = str(Path(__file__).parent)
    answers = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "t")],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join([here, *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert answers == ["True", "False"]


def test_what_an_ended_attempt_reported_is_not_passed_on_again(tmp_path):
    folder = TaskFolder(tmp_path / "t")
    folder.prepare(task())
    for name in (METRICS, WARNINGS, PROGRESS):
        (folder.path / name).write_text('{"job": "job", "name": "job.a", "time": 1, "value": 1}\n')
    folder.clear_reports()
    passed_on = []
    streams = TaskStreams(folder.path)
    streams.forward("main.job", lambda values, step, moment: passed_on.append(values))
    assert (passed_on, streams.progress()) == ([], {})
