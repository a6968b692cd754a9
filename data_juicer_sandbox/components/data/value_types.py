"""What a parameter of Data-Juicer accepts, read from the text of its annotation; the code itself is never imported.

A type is a list of alternatives, plain enough for JSON. Each is one of
`{"is": "any" | "none" | "bool" | "int" | "float" | "str" | "list" | "dict"}`; a number may also have `ge`, `gt`, `le`,
`lt`, a list `of` (a type); `{"is": "one of", "values": [...]}` is a Literal.
"""

from __future__ import annotations

import ast
from typing import Any

Alternative = dict[str, Any]
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
_IN_WORDS = {"none": "nothing", "list": "a list", "dict": "a mapping", "str": "a string", "bool": "true or false"}
_LIMITS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def parse(annotation: ast.expr | None) -> Type:
    """The type that an annotation stands for; `any` where it cannot be told."""
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
            word.arg: word.value.value
            for part in parts[1:]
            if isinstance(part, ast.Call)
            for word in part.keywords
            if word.arg in _LIMITS and isinstance(word.value, ast.Constant)
        }
        return [{**alternative, **limits} for alternative in parse(parts[0])]
    if name in {"List", "list", "Sequence"}:
        return [{"is": "list", "of": parse(parts[0])}]
    return [{"is": _PLAIN.get(name, "any")}]


def accepts(declared: Type, value: Any, *, words_for_numbers: bool = False) -> bool:
    """Whether a value may be of a type; true wherever that cannot be told.

    Args:
        declared: the type.
        value: what a recipe says.
        words_for_numbers: also take `'4'` for a number and `'true'` for a boolean, as a parser of command lines does.
    """
    return any(_fits(alternative, value, words_for_numbers) for alternative in declared)


def _fits(alternative: Alternative, value: Any, words: bool) -> bool:
    kind = alternative["is"]
    if words and isinstance(value, str) and kind in {"int", "float", "bool"}:
        if kind == "bool":
            return value.lower() in {"true", "false", "yes", "no", "on", "off", "0", "1"}
        try:
            value = float(value)
        except ValueError:
            return False
    if kind in {"int", "float"}:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return (kind == "float" or value == value // 1) and _within(alternative, value)
    if kind == "one of":
        return value in alternative["values"]
    if kind == "list":
        if not isinstance(value, (list, tuple)):
            return False
        return "of" not in alternative or all(accepts(alternative["of"], one, words_for_numbers=words) for one in value)
    expected = {"none": type(None), "bool": bool, "str": str, "dict": dict}.get(kind, object)
    return isinstance(value, expected)


def _within(limits: Alternative, value: float) -> bool:
    return (
        value >= limits.get("ge", value)
        and value <= limits.get("le", value)
        and not value <= limits.get("gt", float("-inf"))
        and not value >= limits.get("lt", float("inf"))
    )


def describe(declared: Type) -> str:
    """A type in words: `int > 0, or nothing`."""
    words = []
    for alternative in declared:
        kind = alternative["is"]
        if kind == "one of":
            words.append("one of " + ", ".join(map(repr, alternative["values"])))
        elif kind == "list" and "of" in alternative:
            words.append(f"a list of {describe(alternative['of'])}")
        else:
            name = _IN_WORDS.get(kind, str(kind))
            limits = [f"{sign} {alternative[key]}" for key, sign in _LIMITS.items() if key in alternative]
            words.append(" ".join([name, " and ".join(limits)]).strip())
    return ", or ".join(dict.fromkeys(words))


def limits(declared: Type) -> tuple[float | None, float | None]:
    """The lowest and the highest number of a type with one numeric alternative; None where there is none."""
    numeric = [one for one in declared if one["is"] in {"int", "float"}]
    if len(numeric) != 1:
        return None, None
    one, step = numeric[0], 1 if numeric[0]["is"] == "int" else 0
    low = one["ge"] if "ge" in one else one["gt"] + step if "gt" in one else None
    high = one["le"] if "le" in one else one["lt"] - step if "lt" in one else None
    return low, high
