from __future__ import annotations

import ast
from typing import Any

import pytest

from data_juicer_sandbox.components.data.value_types import accepts, describe, limits, parse


def declared(text: str) -> list[dict[str, Any]]:
    return parse(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "words"),
    [
        ("int", [1, -3, 4.0], [1.5, "1", True, None, []], "int"),
        ("float", [1, 0.5], ["x", False, None], "float"),
        ("bool", [True], [1, "true"], "true or false"),
        ("str", ["a"], [1, None], "a string"),
        ("Optional[int]", [1, None], ["x", 0.5], "int, or nothing"),
        ("PositiveInt", [1], [0, -1, 1.5], "int > 0"),
        ("NonNegativeInt", [0], [-1], "int >= 0"),
        ("ClosedUnitInterval", [0, 1, 0.5], [1.1, -0.1], "float >= 0 and <= 1"),
        ("Annotated[float, Field(ge=0, lt=2)]", [0, 1.9], [2, -1], "float >= 0 and < 2"),
        ("Union[str, List[str], None]", ["a", ["a"], None], [1, [1]], "a string, or a list of a string, or nothing"),
        ("int | None", [1, None], ["a"], "int, or nothing"),
        ("List[PositiveInt]", [[1, 2]], [[0], 1], "a list of int > 0"),
        ("Literal['a', 'b']", ["a"], ["c", 1], "one of 'a', 'b'"),
        ("Dict[str, int]", [{}], [[], "x"], "a mapping"),
        ("some.Thing", [1, "x", None], [], "any"),
        ("Callable[[str], list]", [1], [], "any"),
    ],
)
def test_types(annotation: str, good: list[Any], bad: list[Any], words: str) -> None:
    kind = declared(annotation)
    assert [value for value in good if not accepts(kind, value)] == []
    assert [value for value in bad if accepts(kind, value)] == []
    assert describe(kind) == words


def test_words_for_numbers() -> None:
    assert accepts(declared("PositiveInt"), "4", words_for_numbers=True)
    assert not accepts(declared("PositiveInt"), "0", words_for_numbers=True)
    assert not accepts(declared("int"), "four", words_for_numbers=True)
    assert accepts(declared("bool"), "true", words_for_numbers=True)


def test_limits() -> None:
    assert limits(declared("PositiveInt")) == (1, None)
    assert limits(declared("Optional[ClosedUnitInterval]")) == (0, 1)
    assert limits(declared("float")) == (None, None)
    assert limits(declared("Union[int, float]")) == (None, None)
    assert limits(declared("str")) == (None, None)
