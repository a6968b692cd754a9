from __future__ import annotations

from typing import Any

import pytest

from data_juicer_sandbox.components.base import Component, InputPath, InputPaths
from data_juicer_sandbox.signatures import build, check


class Reader(Component):
    def __init__(self, one: InputPath, several: InputPaths = "", plain: list[str] | None = None):
        self.one, self.several, self.plain = one, several, plain

    def run(self, job: Any) -> None: ...


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("a", "a"),
        (["a"], ["a"]),
        ([["a", "b"], "c"], ["a", "b", "c"]),
        ([["a"]], ["a"]),
        (["a", ["b"], ["c", "d"]], ["a", "b", "c", "d"]),
    ],
)
def test_paths_of_several_jobs_are_laid_end_to_end(given, wanted):
    assert check(Reader, {"one": "x", "several": given}) == []
    assert build(Reader, {"one": "x", "several": given}).several == wanted


@pytest.mark.parametrize("given", ["a", ["a"], [["a"]]])
def test_a_list_of_one_path_is_that_path_where_one_is_wanted(given):
    assert build(Reader, {"one": given}).one == "a"


@pytest.mark.parametrize("given", [["a", "b"], [["a", "b"]], [1], [["a", ["b"]], "c"]])
def test_what_is_no_path_stays_an_error(given):
    assert [problem.name for problem in check(Reader, {"one": given})] == ["one"]


def test_only_paths_are_laid_out():
    assert [problem.name for problem in check(Reader, {"one": "x", "plain": [["a"], "b"]})] == ["plain"]
