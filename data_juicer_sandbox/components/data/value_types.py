"""Types of Data-Juicer's parameters, parsed from their annotations; the code itself is never imported.

A type is a list of alternatives, as JSON values. Each is one of
`{"is": "any" | "none" | "bool" | "int" | "float" | "str" | "list" | "dict"}`; a number may also have `ge`, `gt`, `le`,
`lt`, a list `of` (a type); `{"is": "one of", "values": [...]}` is a Literal.
"""

from __future__ import annotations

import ast
from typing import Any

from data_juicer_sandbox.types import JsonValue

Alternative = dict[str, JsonValue]
Type = list[Alternative]

ANY: Type = [{"is": "any"}]
_PLAIN = {
    "int": "int", "float": "float", "bool": "bool", "str": "str", "dict": "dict", "list": "list", "None": "none",
    "Dict": "dict", "List": "list", "Sequence": "list", "Tuple": "list", "tuple": "list",
}  # fmt: skip
_RESTRICTED: dict[str, Alternative] = {
    "PositiveInt": {"is": "int", "gt": 0},
    "NonNegativeInt": {"is": "int", "ge": 0},
    "PositiveFloat": {"is": "float", "gt": 0},
    "NonNegativeFloat": {"is": "float", "ge": 0},
    "ClosedUnitInterval": {"is": "float", "ge": 0, "le": 1},
    "OpenUnitInterval": {"is": "float", "gt": 0, "lt": 1},
}
_DESCRIPTIONS = {"none": "nothing", "list": "a list", "dict": "a mapping", "str": "a string", "bool": "true or false"}
_LIMITS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def parse(annotation: ast.expr | None) -> Type:
    """Parse an annotation; the type is `any` if the annotation is not supported."""
    if annotation is None:
        return ANY
    if isinstance(annotation, ast.Constant):
        return [{"is": "none"}] if annotation.value is None else ANY
    if isinstance(annotation, ast.Name):
        if annotation.id in _RESTRICTED:
            return [dict(_RESTRICTED[annotation.id])]
        return [{"is": _PLAIN.get(annotation.id, "any")}]
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return parse(annotation.left) + parse(annotation.right)
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        return _subscripted(annotation.value.id, annotation.slice)
    return ANY


def _subscripted(name: str, inner: ast.expr) -> Type:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Optional":
        return [*parse(inner), {"is": "none"}]
    if name == "Union":
        return [alternative for part in parts for alternative in parse(part)]
    if name == "Literal":
        return [{"is": "one of", "values": [part.value for part in parts if isinstance(part, ast.Constant)]}]
    if name == "Annotated":
        limits = {
            keyword.arg: keyword.value.value
            for part in parts[1:]
            if isinstance(part, ast.Call)
            for keyword in part.keywords
            if keyword.arg in _LIMITS and isinstance(keyword.value, ast.Constant)
        }
        return [{**alternative, **limits} for alternative in parse(parts[0])]
    if name in {"List", "list", "Sequence"}:
        return [{"is": "list", "of": parse(parts[0])}]
    return [{"is": _PLAIN.get(name, "any")}]


def accepts(declared: Type, value: Any, *, words_for_numbers: bool = False) -> bool:
    """Whether a type accepts a value; true if the type is `any`.

    Args:
        declared: the type.
        value: the value in a recipe.
        words_for_numbers: also accept `'4'` as a number and `'true'` as a boolean, as a command-line parser does.
    """
    return any(_fits(alternative, value, words_for_numbers) for alternative in declared)


def _fits(alternative: Alternative, value: Any, words: bool) -> bool:
    type_name = alternative["is"]
    if words and isinstance(value, str) and type_name in {"int", "float", "bool"}:
        if type_name == "bool":
            return value.lower() in {"true", "false", "yes", "no", "on", "off", "0", "1"}
        try:
            value = float(value)
        except ValueError:
            return False
    if type_name in {"int", "float"}:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return (type_name == "float" or value == value // 1) and _within(alternative, value)
    if type_name == "one of":
        return value in alternative["values"]
    if type_name == "list":
        if not isinstance(value, (list, tuple)):
            return False
        return "of" not in alternative or all(
            accepts(alternative["of"], item, words_for_numbers=words) for item in value
        )
    expected = {"none": type(None), "bool": bool, "str": str, "dict": dict}.get(type_name, object)
    return isinstance(value, expected)


def _within(limits: Alternative, value: float) -> bool:
    return (
        value >= limits.get("ge", value)
        and value <= limits.get("le", value)
        and not value <= limits.get("gt", float("-inf"))
        and not value >= limits.get("lt", float("inf"))
    )


def describe(declared: Type) -> str:
    """Describe a type for a message: `int > 0, or nothing`."""
    words = []
    for alternative in declared:
        type_name = alternative["is"]
        if type_name == "one of":
            words.append("one of " + ", ".join(map(repr, alternative["values"])))
        elif type_name == "list" and "of" in alternative:
            words.append(f"a list of {describe(alternative['of'])}")
        else:
            name = _DESCRIPTIONS.get(type_name, str(type_name))
            limits = [f"{sign} {alternative[key]}" for key, sign in _LIMITS.items() if key in alternative]
            words.append(" ".join([name, " and ".join(limits)]).strip())
    return ", or ".join(dict.fromkeys(words))


def limits(declared: Type) -> tuple[float | None, float | None]:
    """The lowest and highest number of a type with one numeric alternative; None if unlimited."""
    numeric = [alternative for alternative in declared if alternative["is"] in {"int", "float"}]
    if len(numeric) != 1:
        return None, None
    number, step = numeric[0], 1 if numeric[0]["is"] == "int" else 0
    low = number["ge"] if "ge" in number else number["gt"] + step if "gt" in number else None
    high = number["le"] if "le" in number else number["lt"] - step if "lt" in number else None
    return low, high
