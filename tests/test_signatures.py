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


class Typed(Component):
    def __init__(self, names: list[str], number: int = 1, ratio: float = 1.0, limit: int | None = 3):
        self.values = names, number, ratio, limit

    def run(self, job: Any) -> None: ...


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"names": "[a, b]"}, (["a", "b"], 1, 1.0, 3)),
        ({"names": "- a\n- b"}, (["a", "b"], 1, 1.0, 3)),
        ({"names": [], "number": None, "ratio": None}, ([], 1, 1.0, 3)),
        ({"names": [], "limit": None}, ([], 1, 1.0, None)),
        ({"names": [], "number": "0x10", "ratio": 2}, ([], 16, 2.0, 3)),
    ],
)
def test_texts_are_read_as_yaml_and_null_stands_for_the_default(given, values):
    assert check(Typed, given) == []
    assert build(Typed, given).values == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("names", None),
        ("names", "&a [*a]"),
        ("names", "[" * 50_000),
        ("names", "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))),
        ("names", "!!set {a}"),
        ("number", "0x" + "f" * 5_000),
        ("number", "1" + ":1" * 100_000),
        ("number", "!!int ''"),
        ("number", "!!bool maybe"),
        ("ratio", 10**400),
    ],
    ids=range(10),
)
def test_odd_values_are_one_short_problem(name, value):
    (problem,) = check(Typed, {"names": [], name: value})
    assert problem.name == name
    assert len(problem.what) < 300
