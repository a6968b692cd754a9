"""The checks of `data_juicer_sandbox.testing` find errors: each fails for a class that is broken on purpose."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path

import broken_parts
import broken_trackers
import pytest

from data_juicer_sandbox.testing import check_component, check_component_class, check_tracker
from data_juicer_sandbox.testing.class_checks import MAX_SECONDS
from data_juicer_sandbox.testing.reporting import MAX_SHOWN, report

VALUES = {"dataset_path": "in.txt", "export_path": "out.txt"}
SETTINGS = {**VALUES, "settings": [1, 2]}
COMPONENTS = [
    ("Untyped", "typed_parameters", "'extra' has no type annotation"),
    ("Undocumented", "documented_parameters", "does not describe 'extra'"),
    ("WronglyDocumented", "documented_parameters", "describes 'data_set_path', which is not a parameter"),
    ("WrongDefault", "fitting_defaults", "parameter 'extra'"),
    ("OutputsAsText", "named_outputs", "is a str"),
    ("Abstract", "derives_from_component", "does not define run"),
    ("NoComponent", "derives_from_component", "does not derive from"),
    ("ImportsHeavy", "light_constructor", "the constructor imports .*pandas"),
    ("ReadsEarly", "light_constructor", "does work: reads in.txt"),
    ("StartsProgram", "light_constructor", "does work: subprocess.Popen true"),
    ("ChangesValues", "portable_values", "changes a value"),
    ("Fails", "runs", "raises ValueError: broken data"),
    ("TooManyResults", "declared_results", "returns 2 value"),
    ("StrangeResult", "declared_results", "object"),
    ("UndeclaredMetric", "declared_metrics", "reports 'lines', which `metrics` does not declare"),
    ("UndeclaredStep", "declared_metrics", "reports 'lines' with a step"),
    ("UndeclaredNumber", "declared_metrics", "holds a number 'lines'"),
    ("PlainText", "paths_with_roles", "'dataset_path' is the path of an input"),
    ("WritesElsewhere", "declared_files", "cache.txt is written"),
    ("WritesOpenly", "claimed_files", "out.txt is written without"),
    ("WritesOpenly", "interruptible", "out.txt is incomplete"),
    ("EditsInput", "unchanged_inputs", "in.txt is changed"),
    ("LeavesTask", "closed_progress", "'open' is not closed"),
    ("BeyondTotal", "closed_progress", "reaches 2 of 1"),
    ("RandomLines", "repeatable", "writes another out.txt"),
    ("RandomLines", "repeatable", "the state of `random` is changed"),
    ("TimedResult", "repeatable", "returns another result"),
    ("SetsEnvironment", "repeatable", "BROKEN_PARTS"),
    ("ChangesFolder", "repeatable", "current folder is /"),
    ("ReplacesStdout", "repeatable", "sys.stdout is replaced"),
    ("AddsLogHandler", "repeatable", "handlers of the root logger"),
    ("SetsSignal", "repeatable", "handler of SIGUSR1"),
    ("LeavesThread", "repeatable", "thread 'left over' is still running"),
    ("LeavesProcess", "repeatable", "child process"),
    ("CatchesAll", "interruptible", "TrialPruned is caught"),
    ("CatchesInterrupt", "interruptible", "KeyboardInterrupt is caught"),
    ("LeavesPart", "interruptible", "out.txt.tmp is left behind"),
    ("PlainText", "resumable", "keeps the job although lines was edited"),
    ("AlwaysStale", "resumable", "does the job again"),
]
TRACKERS = [
    ("NoTracker", "derives_from_tracker", "does not derive from"),
    ("EagerTracker", "light_constructor", "subprocess.Popen"),
    ("StrictTracker", "plain_values", "watch of nan raises ValueError"),
    ("ClosesOnce", "any_order", "a second call of close raises AttributeError"),
    ("LateTracker", "durable", "stored by `close` only"),
    ("Overwrites", "appends", "value of run 1 of 3"),
    ("StoresEnvironment", "no_secrets", "a secret in the environment is stored"),
    ("EndsProcess", "harmless_failure", "ends with SystemExit"),
    ("LeavesThreads", "clean_process", "is still running"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs/in.txt").write_text("a\nb\nc\n")
    return tmp_path / "inputs"


def failures(check, *args, **options) -> list[tuple[str, str]]:
    """The names and texts of the problems that a check reports."""
    with pytest.raises(AssertionError) as caught:
        check(*args, **options)
    first, *lines = str(caught.value).splitlines()
    assert re.search(r"fails \d+ of \d+ checks:$", first)
    return [tuple(line.removeprefix("- ").split(": ", 1)) for line in lines]


def test_a_good_component_passes(folder):
    check_component(broken_parts.Good, SETTINGS, folder=folder)
    check_component(broken_parts.Good, {**VALUES, "export_path": folder / "below/out.txt"}, folder=str(folder))
    assert [path.name for path in folder.iterdir()] == ["in.txt"]


@pytest.mark.parametrize(("name", "check", "text"), COMPONENTS, ids=lambda value: value if value.isalnum() else "")
def test_a_broken_component_fails(name, check, text, folder, monkeypatch):
    values = SETTINGS if name == "ChangesValues" else VALUES
    if (name, check) == ("PlainText", "resumable"):  # the name of a file without an ending could be any text
        (folder / "in.txt").rename(folder / "lines")
        values = {**VALUES, "dataset_path": "lines"}
    state = Path.cwd(), sys.stdout, dict(os.environ)
    problems = failures(check_component, getattr(broken_parts, name), values, folder=folder)
    assert any(found == check and re.search(text, problem) for found, problem in problems), problems
    assert state == (Path.cwd(), sys.stdout, dict(os.environ))


def test_all_failed_checks_are_reported_at_once(folder):
    names = {name for name, _ in failures(check_component, broken_parts.WritesOpenly, VALUES, folder=folder)}
    assert names == {"claimed_files", "interruptible"}


def test_a_check_can_be_skipped_by_its_name(folder):
    skip = ("claimed_files", "interruptible")
    check_component(broken_parts.WritesOpenly, VALUES, folder=folder, skip=skip)
    with pytest.raises(ValueError, match="no check is named claims; the checks: derives_from_component"):
        check_component(broken_parts.Good, VALUES, folder=folder, skip=("claims",))


def test_a_component_that_is_not_deterministic_can_say_so(folder):
    check_component(broken_parts.TimedResult, VALUES, folder=folder, deterministic=False)


def test_values_that_do_not_fit_are_reported(folder):
    problems = failures(check_component, broken_parts.Good, {**VALUES, "settings": "x"}, folder=folder)
    assert {name for name, _ in problems} == {"portable_values", "light_constructor"}


def test_a_class_inside_a_function_cannot_be_named_by_a_config(folder):
    class Local(broken_parts.Good):
        """Stand inside a function."""

    (problem,) = failures(check_component_class, Local)
    assert problem[0] == "light_constructor"
    assert "top level" in problem[1]


def test_a_good_tracker_passes(tmp_path):
    check_tracker(broken_trackers.GoodTracker, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "check", "text"), TRACKERS)
def test_a_broken_tracker_fails(name, check, text, tmp_path):
    problems = failures(check_tracker, getattr(broken_trackers, name), folder=tmp_path)
    assert {found for found, _ in problems} == {check}, problems
    assert any(re.search(text, problem) for _, problem in problems), problems


def test_an_error_of_a_check_is_a_problem_and_not_the_end():
    def broken():
        yield "first"
        raise RuntimeError("second")

    with pytest.raises(AssertionError) as caught:
        report("thing", {"a": broken, "b": lambda: [str(n) for n in range(MAX_SHOWN + 2)], "c": list})
    text = str(caught.value)
    assert "thing fails 2 of 3 checks" in text
    assert "- a: first" in text
    assert "- a: the check could not end: RuntimeError: second" in text
    assert "- b: 2 more" in text


def test_the_checks_work_in_another_thread(folder):
    errors: list[BaseException] = []

    def run() -> None:
        try:
            check_component(broken_parts.Good, VALUES, folder=folder)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []
    assert MAX_SECONDS < 5
