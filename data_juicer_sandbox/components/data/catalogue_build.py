"""Builds the catalogue of Data-Juicer's OPs from its source, without imports, which takes about a second."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.data import value_types
from data_juicer_sandbox.types import JsonValue

CATEGORIES = ("mapper", "filter", "deduplicator", "selector", "grouper", "aggregator", "pipeline")
_REGISTRY = "OPERATORS"
_TAGGING = "TAGGING_OPS"
_FIELD_READERS = ("get", "pop", "setdefault")
_FIELD_NAME = re.compile(r"[^\W\d][\w.-]{0,60}")


@dataclass
class _Class:
    name: str
    node: ast.ClassDef
    bases: list[str]
    category: str
    constants: dict[str, Any]


def source_files(package: Path) -> list[Path]:
    """The files that the catalogue is built from, in order."""
    ops = [file for category in CATEGORIES for file in sorted((package / "ops" / category).rglob("*.py"))]
    fused = sorted([*(package / "ops").glob("fused*.py"), *(package / "ops").glob("*fusion.py")])
    return [
        package / "config" / "config.py",
        package / "utils" / "constant.py",
        package / "ops" / "base_op.py",
        *fused,
        *ops,
    ]


def build(package: Path) -> dict[str, JsonValue]:
    """Build the catalogue.

    Args:
        package: the folder of the installed package `data_juicer`.

    Returns:
        `ops` by name, `base` (parameters of all OPs), `keys` (top-level keys of a recipe); JSON values.
    """
    config, constant, base_op, *files = source_files(package)
    classes: dict[str, _Class] = {}
    for file in [base_op, *files]:
        relative = file.relative_to(package / "ops")
        category = relative.parts[0] if len(relative.parts) > 1 else "base" if file is base_op else "fused"
        for op_class in _classes(_parsed(file), category):
            classes.setdefault(op_class.name, op_class)
    stat_names = _stat_names(_parsed(constant))
    ops = {name: _op(op_class, classes, stat_names) for op_class in classes.values() for name in _registered(op_class)}
    base = _base_params(classes["OP"]) | _base_params(classes["Filter"], only_filters=True)
    return {"ops": dict(sorted(ops.items())), "base": base, "keys": _recipe_keys(_parsed(config))}


def _parsed(file: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes, which newer versions of Python warn about
        return ast.parse(file.read_bytes())


def _classes(tree: ast.Module, category: str) -> Iterator[_Class]:
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [base.id if isinstance(base, ast.Name) else getattr(base, "attr", "") for base in node.bases]
            yield _Class(node.name, node, bases, category, constants)


def _registered(op_class: _Class) -> Iterator[str]:
    """The names under which a class is registered as an OP."""
    yield from _registrations(op_class, _REGISTRY)


def _registrations(op_class: _Class, registry: str) -> Iterator[str]:
    for decorator in op_class.node.decorator_list:
        if (
            isinstance(decorator, ast.Call)
            and ast.unparse(decorator.func) == f"{registry}.register_module"
            and decorator.args
            and (name := _text(decorator.args[0], op_class.constants))
        ):
            yield name


def _text(node: ast.expr, constants: dict[str, Any]) -> str | None:
    """The value of a string, of a constant's name, or of an f-string of these."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.JoinedStr):
        parts = [_text(part.value if isinstance(part, ast.FormattedValue) else part, constants) for part in node.values]
        return "".join(part for part in parts if part)
    return None


def _lineage(op_class: _Class, classes: dict[str, _Class]) -> list[_Class]:
    """The class and its bases, nearest first."""
    lineage, queue = [], [op_class]
    while queue:
        ancestor = queue.pop(0)
        if ancestor not in lineage:
            lineage.append(ancestor)
            queue.extend(classes[base] for base in ancestor.bases if base in classes)
    return lineage


def _method(op_class: _Class, name: str) -> ast.FunctionDef | None:
    return next((node for node in op_class.node.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _op(op_class: _Class, classes: dict[str, _Class], stat_names: dict[str, str]) -> dict[str, JsonValue]:
    lineage = _lineage(op_class, classes)
    params: dict[str, JsonValue] = {}
    for ancestor in lineage:
        init = _method(ancestor, "__init__")
        if init is not None and ancestor.name not in {"OP", *(category.capitalize() for category in CATEGORIES)}:
            for name, param in _params(init).items():
                # The subclass may set a base's parameter itself, so only the OP's own parameters are required.
                params.setdefault(name, param if ancestor is op_class else {**param, "required": False})
    op_classes = [ancestor for ancestor in lineage if ancestor.category != "base"]
    stats = next((keys for ancestor in op_classes if (keys := _stat_keys(ancestor.node, stat_names))), [])
    methods = (_method(ancestor, name) for ancestor in op_classes for name in ("process_batched", "process_single"))
    process = next((method for method in methods if method), None)
    return {
        "category": op_class.category,
        "filters": any(ancestor.name == "Filter" for ancestor in lineage),
        "doc": (ast.get_docstring(op_class.node) or "").split("\n\n")[0].replace("\n", " "),
        "params": params,
        "key_params": sorted({name for ancestor in op_classes for name in _key_params(ancestor.node)}),
        "fields": sorted({name for ancestor in op_classes for name in _field_names(ancestor.node)}),
        "tagging": any(True for _ in _registrations(op_class, _TAGGING)),
        "stats": stats,
        "bounds": _bounds(process, stat_names) if process is not None and op_class.category == "filter" else [],
    }


def _key_params(node: ast.ClassDef) -> Iterator[str]:
    """The parameters with a field's name that a class uses: `self.text_key`."""
    for child in ast.walk(node):
        of_self = isinstance(child, ast.Attribute) and getattr(child.value, "id", "") == "self"
        if of_self and child.attr.endswith(("_key", "_keys", "_field", "_fields")):  # type: ignore[attr-defined]
            yield child.attr  # type: ignore[attr-defined]


def _field_names(node: ast.ClassDef) -> Iterator[str]:
    """The texts that a class uses as a key: `x["images"]`, `x.get("images")`, `"images" in x`."""
    for child in ast.walk(node):
        if isinstance(child, ast.Subscript):
            key: ast.expr = child.slice
        elif isinstance(child, ast.Call) and getattr(child.func, "attr", "") in _FIELD_READERS and child.args:
            key = child.args[0]
        elif isinstance(child, ast.Compare) and isinstance(child.ops[0], (ast.In, ast.NotIn)):
            key = child.left
        else:
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and _FIELD_NAME.fullmatch(key.value):
            yield key.value


def _params(init: ast.FunctionDef) -> dict[str, JsonValue]:
    args = init.args
    positional = args.args[1:]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return {arg.arg: _param(arg.annotation, default) for arg, default in pairs}


def _param(annotation: ast.expr | None, default: ast.expr | None) -> dict[str, JsonValue]:
    return {
        "annotation": ast.unparse(annotation) if annotation else "",
        "type": value_types.parse(annotation),
        "required": default is None,
        "default": None if default is None else _value(default),
    }


def _value(node: ast.expr) -> JsonValue:
    """The value of a default, or its source text if it is a computed expression."""
    try:
        value = ast.literal_eval(node)
    except ValueError:
        text = ast.unparse(node)
        return {"sys.maxsize": 2**63 - 1, "-sys.maxsize": 1 - 2**63}.get(text, text)
    if isinstance(value, (set, tuple)):
        return sorted(value) if isinstance(value, set) else list(value)
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _base_params(op_class: _Class, *, only_filters: bool = False) -> dict[str, JsonValue]:
    """The `_BASE_PARAMS` of a class: name -> (type, default)."""
    for node in op_class.node.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_BASE_PARAMS":
            if not isinstance(node.value, ast.Dict):
                break
            return {
                str(key.value): {**_param(pair.elts[0], pair.elts[1]), "only_filters": only_filters}
                for key, pair in zip(node.value.keys, node.value.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(pair, ast.Tuple)
            }
    return {}


def _stat_names(tree: ast.Module) -> dict[str, str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "StatsKeysConstant":
            return {
                target.id: str(item.value.value)
                for item in node.body
                if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant)
                for target in item.targets
                if isinstance(target, ast.Name)
            }
    return {}


def _stat_keys(node: ast.AST, stat_names: dict[str, str]) -> list[str]:
    """The stats of all `StatsKeys.x` in a node, without duplicates, in the order of the syntax tree."""
    stats = [
        stat_names[child.attr]
        for child in ast.walk(node)
        if isinstance(child, ast.Attribute)
        and isinstance(child.value, ast.Name)
        and child.value.id == "StatsKeys"
        and child.attr in stat_names
    ]
    return list(dict.fromkeys(stats))


def _bounds(process: ast.FunctionDef, stat_names: dict[str, str]) -> list[dict[str, JsonValue]]:
    """The bounds of a filter, from its calls of `get_keep_boolean(value, low, high)`.

    Returns:
        For each bound: `param`, `side` (`min`, `max`), `stat`, and `when`: the boolean parameter and its value for
        which the bound applies to this stat, or None.
    """
    sources = _sources(process)
    bounds: list[dict[str, JsonValue]] = []
    for call in ast.walk(process):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "get_keep_boolean" and call.args:
            keywords = {word.arg: word.value for word in call.keywords}
            sides = {
                "min": call.args[1] if len(call.args) > 1 else keywords.get("min_val"),
                "max": call.args[2] if len(call.args) > 2 else keywords.get("max_val"),
            }
            for side, node in sides.items():
                if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self":
                    for stat, when in _stats_behind(call.args[0], sources, stat_names):
                        bound = {"param": node.attr, "side": side, "stat": stat, "when": when}
                        if bound not in bounds:
                            bounds.append(bound)
    return bounds


def _sources(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """The expression that each local name gets its value from: assignments, loops, arguments of inner functions."""
    sources: dict[str, ast.expr] = {}
    inner = {node.name: node.args.args for node in ast.walk(function) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            _bind(sources, node.targets[0], node.value)
        elif isinstance(node, (ast.comprehension, ast.For)):
            _bind(sources, node.target, node.iter)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for arg, value in zip(inner.get(node.func.id, ()), node.args, strict=False):
                sources.setdefault(arg.arg, value)
    return sources


def _bind(sources: dict[str, ast.expr], target: ast.expr, value: ast.expr) -> None:
    if isinstance(target, ast.Name):
        sources.setdefault(target.id, value)
    elif isinstance(target, ast.Tuple):
        zipped = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "zip"
        parts = value.args if zipped and isinstance(value, ast.Call) else [value] * len(target.elts)
        for element, part in zip(target.elts, parts, strict=False):  # lengths differ with a starred argument
            _bind(sources, element, part)


def _stats_behind(
    node: ast.expr, sources: dict[str, ast.expr], stat_names: dict[str, str]
) -> list[tuple[str, list[str | bool] | None]]:
    """The stats that a value is computed from, each with the condition under which it is used."""
    for _ in range(8):  # follows names to their sources, for more steps than any OP has
        if isinstance(node, ast.IfExp):
            test = node.test
            if isinstance(test, ast.Attribute) and getattr(test.value, "id", "") == "self":
                stats_by_branch = _stat_keys(node.body, stat_names), _stat_keys(node.orelse, stat_names)
                return [
                    (s, [test.attr, truth])
                    for keys, truth in zip(stats_by_branch, (True, False), strict=True)
                    for s in keys
                ]
            return []
        if keys := _stat_keys(node, stat_names):
            return [(keys[0], None)] if len(keys) == 1 else []
        names = [child.id for child in ast.walk(node) if isinstance(child, ast.Name) and child.id in sources]
        if not names:
            return []
        node = sources[names[-1]]
    return []


def _recipe_keys(tree: ast.Module) -> dict[str, JsonValue]:
    """The top-level keys of a recipe, from the `add_argument` calls of Data-Juicer's own parser."""
    keys: dict[str, JsonValue] = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument" and call.args:
            name = getattr(call.args[0], "value", "")
            if not isinstance(name, str) or not re.fullmatch(r"--[\w.-]+", name):
                continue
            words = {word.arg: word.value for word in call.keywords}
            declared = value_types.parse(words.get("type"))
            if "choices" in words:
                declared = [{"is": "one of", "values": ast.literal_eval(words["choices"])}]
            elif "action" in words or "nargs" in words:
                declared = value_types.ANY
            default = _value(words["default"]) if "default" in words else None
            if default is None:
                declared = [*declared, {"is": "none"}]
            keys[name[2:].replace("-", "_")] = {"type": declared, "default": default}
    return keys
