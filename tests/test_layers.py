"""Lower packages never import upper ones, and no package imports another in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import data_juicer_sandbox

ROOT = Path(data_juicer_sandbox.__file__).parent
NAME = "data_juicer_sandbox"
LAYERS = (
    ("control_characters",),
    ("types", "errors", "interruption", "secrets", "plain_json", "installation", "labels", "comparison", "__init__"),
    ("code_policy",),
    ("output_folders", "output_lock", "imports", "plugins", "file_listing"),
    ("files",),
    ("file_digests",),
    ("output_guard", "user_code", "context"),
    ("terminal", "config"),
    ("watchers",),
    ("components",),
    ("type_conversion",),
    ("signatures", "factories"),
    ("hooks",),
    ("workflow", "migrate"),
    ("validation", "parallel"),
    ("engine",),
    ("search", "report", "component_run"),
    ("results",),
    ("execution",),
    ("api",),
    ("cli", "tools", "testing"),
)
"""From the lowest: a package imports from layers below its own, and from itself."""
COMPONENTS = (
    ("names", "number_types"),
    ("metric_keys",),
    ("base",),
    ("io", "processes"),
    ("lm",),
    ("helpers", "command", "data", "quality", "pools", "convert"),
    ("evaluate", "refine", "infer"),
    ("train",),
    ("probe",),
)
"""The same within `components`. A hook's or component's type annotations may name what is above it."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below it."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def imports(path: Path, names: set[str]) -> Iterator[str]:
    """The modules of this package that a file imports at run time, in functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in types and (node.module or "").startswith(NAME):
            base = (node.module or "").removeprefix(NAME).strip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".strip(".")
                yield full if full in names else base or "__init__"


def edges(level: int, below: str = "") -> dict[tuple[str, str], set[str]]:
    """Which package imports which, with the modules that do.

    Args:
        level: how many parts of a dotted name make a package.
        below: only packages in this one.
    """
    every = modules()
    found: dict[tuple[str, str], set[str]] = {}
    for name, path in every.items():
        for target in imports(path, set(every)):
            if not (name.startswith(below) and target.startswith(below)):
                continue
            one, other = (".".join(part.removeprefix(below).split(".")[:level]) for part in (name, target))
            if one != other:
                found.setdefault((one, other), set()).add(name)
    return found


def violations(layers: tuple[tuple[str, ...], ...], found: dict[tuple[str, str], set[str]]) -> list[str]:
    """Imports from a layer that is not below."""
    level = {name: number for number, names in enumerate(layers) for name in names}
    unknown = {name for edge in found for name in edge} - set(level)
    assert not unknown, f"packages without a layer: {sorted(unknown)}"
    return [
        f"{one} imports {other}: {', '.join(sorted(names))}"
        for (one, other), names in found.items()
        if level[one] <= level[other]
    ]


def has_circle(found: set[tuple[str, str]]) -> bool:
    """Whether packages import each other in a circle."""
    left = set(found)
    while left:
        leaves = {other for _, other in left} - {one for one, _ in left}
        if not leaves:
            return True
        left = {edge for edge in left if edge[1] not in leaves}
    return False


def test_packages_import_from_lower_layers_only():
    assert violations(LAYERS, edges(1)) == []


def test_components_import_from_lower_layers_only():
    assert violations(COMPONENTS, edges(1, "components.")) == []


def test_no_circle():
    assert not has_circle(set(edges(1)))
    assert not has_circle(set(edges(1, "components.")))


def test_the_test_finds_what_it_looks_for():
    """An import upwards, a circle, a package without a layer."""
    assert violations((("a",), ("b",)), {("a", "b"): {"a.x"}}) == ["a imports b: a.x"]
    assert violations((("a",), ("b",)), {("b", "a"): {"b.x"}}) == []
    assert has_circle({("a", "b"), ("b", "c"), ("c", "a")})
    assert not has_circle({("a", "b"), ("b", "c"), ("a", "c")})
    found = edges(1)
    assert ("cli", "api") in found
    assert ("engine", "workflow") in found
