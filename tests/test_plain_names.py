"""Names and texts of the package are plain: no vague variable names, no phrases that have to be read twice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "data_juicer_sandbox"
VAGUE_WORDS = "one found given told said way made place there wanted known asked seen own kind left"
VAGUE_NAMES = frozenset(VAGUE_WORDS.split())
MAX_VAGUE_SHARE = 0
"""Largest share of variables and arguments that may have a vague name; 0 as soon as `context` is renamed."""

BANNED_PHRASES = re.compile(
    r"(?<!there) is no (?!longer)|there is none of|what is looked for| but for one\b"
    r"|\b(?:each|every|own|upper|lower) rooms?\b|cannot stand together|\bis wanted here"
)
"""Phrases that no docstring and no message contains. `there is no` and `is no longer` are plain English."""

NOT_YET_REWRITTEN = ()
"""Folders whose texts still contain such phrases; empty as soon as they are rewritten."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def variables(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every variable and argument, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name, node.lineno


def texts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every docstring and message, and every constant part of an f-string, as one line of lower case."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.lower().split(" ")).replace("\n", " "), node.lineno


def vague(tree: ast.AST) -> list[tuple[str, int]]:
    return [(name, line) for name, line in variables(tree) if name.strip("_") in VAGUE_NAMES]


def banned(tree: ast.AST) -> list[tuple[str, int]]:
    return [(phrase, line) for text, line in texts(tree) for phrase in BANNED_PHRASES.findall(text)]


def parsed() -> list[tuple[Path, ast.AST]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in modules()]


def listed(path: Path, word: str, line: int) -> str:
    return f"{path.relative_to(PACKAGE.parent)}:{line}: {word.strip()}"


def test_variable_names_say_what_the_value_is() -> None:
    trees = parsed()
    total = sum(1 for _, tree in trees for _ in variables(tree))
    lines = [listed(path, name, line) for path, tree in trees for name, line in vague(tree)]
    assert len(lines) <= MAX_VAGUE_SHARE * total, "vague names:\n" + "\n".join(lines)


def test_no_docstring_or_message_contains_a_banned_phrase() -> None:
    lines = [
        listed(path, phrase, line)
        for path, tree in parsed()
        if path.relative_to(PACKAGE).parts[0] not in NOT_YET_REWRITTEN
        for phrase, line in banned(tree)
    ]
    assert not lines, "phrases to rewrite:\n" + "\n".join(lines)


def test_the_checks_find_what_they_look_for() -> None:
    code = 'def f(given):\n    _seen = 1\n    print(f"{given} is no list", _seen)\n    return "is not a list"\n'
    assert sorted(vague(ast.parse(code))) == [("_seen", 2), ("given", 1)]
    assert banned(ast.parse(code)) == [(" is no ", 3)]
    assert banned(ast.parse('"""A text that is\nno list."""')) == [(" is no ", 1)]
