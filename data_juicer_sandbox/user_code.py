"""Digests of the user's source files: custom hooks and components, and functions that configs name.

A result is valid only if this code is unchanged. Modules of this package and of the standard library are ignored. A
module is located without importing it. Only its own file counts, not the modules that it imports.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from data_juicer_sandbox.file_digests import digest
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.plugins import plugins

_DOTTED = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)[.:]([^\W\d]\w*)")
_LONGEST = 300
"""Longest dotted path in characters."""

_OURS = __name__.partition(".")[0]
_loaded: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()
"""Digests of imported modules at their first look-up: changing a file after its import does not change the code that
runs in this process."""

_Origin = tuple[int, str, str] | None
"""The origin of a binding: level, module and name of a `from ... import`; None for any other binding."""


class UserCode:
    """Digests of modules. Each file is read once, since the code that was read first is the code that runs."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._modules: dict[str, list[str]] = {}

    def digests(self, classes: Sequence[type[object] | None], configs: object) -> dict[str, str]:
        """The content digest of each module of the user's code, by the module's name.

        Args:
            classes: the classes that a job runs; those that are not the user's are ignored.
            configs: nested values. Each text in them that is the name of a plug-in helper, or the dotted path of an
                object in a user's module, adds its modules.
        """
        names = [name for cls in classes for name in class_modules(cls)]
        for text in set(texts(configs)):
            if text not in self._modules:
                self._modules[text] = modules_of(text)
            names += self._modules[text]
        digest_by_module = {name: self._digest(name) for name in sorted(set(names))}
        return {name: content for name, content in digest_by_module.items() if content}

    def _digest(self, name: str) -> str | None:
        module = sys.modules.get(name)
        if isinstance(module, ModuleType) and module in _loaded:
            return _loaded[module]
        if name not in self._digests:
            file = source_file(name)
            if file is None:
                return None
            self._digests[name] = digest(file)
        if isinstance(module, ModuleType):
            _loaded[module] = self._digests[name]
        return self._digests[name]


def code_change(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Describe a module of the user's code that has changed; None if none has."""
    for name in sorted({**before, **now}):
        if before.get(name) != now.get(name):
            file = source_file(name)
            return f"code of {name} ({file}) has changed" if file else f"code of {name} is gone"
    return None


def source_file(name: str) -> Path | None:
    """The source file of a module of the user, else None. Does not import the module."""
    if not _is_user_module(name):
        return None
    module = sys.modules.get(name)
    origin = _spec_origin(name) if module is None else getattr(module, "__file__", None)
    file = Path(origin) if isinstance(origin, str) else None
    return file if file is not None and file.suffix == ".py" and file.is_file() else None


def class_modules(cls: type[object] | None) -> list[str]:
    """The user's modules that define a class and its bases. Of installed packages, only that of the class counts."""
    if cls is None or not _is_user_module(cls.__module__):
        return []
    package = cls.__module__.partition(".")[0]
    names = [base.__module__ for base in cls.__mro__ if _is_user_module(base.__module__)]
    return [name for name in names if name.partition(".")[0] == package or not _is_installed(name)]


def modules_of(text: str) -> list[str]:
    """The user's modules that a dotted path, or the name of a plug-in helper, depends on: the module that it names,
    and those that re-export the object, up to the one that defines it.

    Empty if the module is not the user's or lacks the name: then the text is not a dotted path.
    """
    match = _DOTTED.fullmatch(plugins("helpers").get(text, text)) if len(text) < _LONGEST else None
    if match is None:
        return []
    module, name = match.groups()
    modules: list[str] = []
    while module not in modules and (file := source_file(module)) is not None:
        bindings = _bindings(file)
        if name not in bindings and "*" not in bindings:
            break
        modules.append(module)
        origin = bindings.get(name)
        if origin is None:
            break
        level, source, name = origin
        if level:
            package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
            package = package[: len(package) - level + 1]
            source = ".".join([*package, source] if source else package)
        module = source
    return modules


def _is_user_module(name: str) -> bool:
    top = name.partition(".")[0]
    return bool(top) and top != _OURS and top not in sys.stdlib_module_names


def _is_installed(name: str) -> bool:
    file = source_file(name)
    return file is None or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)


def _spec_origin(name: str) -> str | None:
    """The path of a module's file. Unlike `find_spec` alone, this does not import the parent packages."""
    top, *rest = name.split(".")
    try:
        spec: ModuleSpec | None = find_spec(top)
    except (ImportError, ValueError):  # a module without a spec, such as a script that is running
        return None
    for index in range(len(rest)):
        folders = spec.submodule_search_locations if spec is not None else None
        if folders is None:
            return None
        spec = PathFinder.find_spec(".".join([top, *rest[: index + 1]]), list(folders))
    return spec.origin if spec is not None else None


def _bindings(file: Path) -> dict[str, _Origin]:
    """The names that a source file binds outside functions and classes, with their origins.

    `*` stands for names that cannot be read from the file: those of `from ... import *` or `__getattr__`.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError):  # importing it raises the error
        return {"*": None}
    bindings: dict[str, _Origin] = {}
    pending: list[ast.AST] = list(reversed(tree.body))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bindings["*" if node.name == "__getattr__" else node.name] = None
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origin = (node.level, node.module or "", alias.name)
                bindings[alias.asname or alias.name] = None if alias.name == "*" else origin
        elif isinstance(node, ast.Import):
            bindings.update({alias.asname or alias.name.partition(".")[0]: None for alias in node.names})
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bindings[node.id] = None
        else:
            pending.extend(reversed(list(ast.iter_child_nodes(node))))
    return bindings
