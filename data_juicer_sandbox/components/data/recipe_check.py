"""Finds what is wrong with a recipe before anything runs, and without importing Data-Juicer."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import islice
from typing import Any

from data_juicer_sandbox.components.data import value_types
from data_juicer_sandbox.components.data.catalogue import Op, Param, catalogue
from data_juicer_sandbox.errors import MAX_PROBLEMS
from data_juicer_sandbox.secrets import shown

Way = tuple[str | int, ...]
_LONGEST = 100
"""Characters of a name that is compared with others; a longer one is near to none."""


@dataclass(frozen=True)
class Problem:
    """One fault of a recipe.

    Args:
        path: where it is: keys and list indexes from the top of the recipe.
        message: what is wrong.
        hint: what would be right.
    """

    path: Way
    message: str
    hint: str | None = None


def check(recipe: Mapping[str, Any], skip: Callable[[Way], bool] = lambda path: False) -> list[Problem]:
    """All faults of a recipe that can be told from Data-Juicer's source.

    Args:
        recipe: the recipe.
        skip: says of a path that it will be set later, so that what stands there now is not judged.
    """
    found = (problem for problem in _problems(recipe, skip) if not skip(problem.path))
    return list(islice(found, MAX_PROBLEMS))


def _problems(recipe: Mapping[str, Any], skip: Callable[[Way], bool]) -> Iterator[Problem]:
    known = catalogue()
    nested = {key.split(".")[0] for key in known.keys if "." in key}
    for key, value in recipe.items():
        if skip((key,)):
            continue
        if key == "process":
            yield from _process(value, bool(recipe.get("custom_operator_paths")), skip)
        elif key == "dataset_path" and isinstance(value, list):
            continue  # several data sets, which the executor hands on in Data-Juicer's multi-source form
        elif key in known.keys:
            yield from _typed((key,), key, known.keys[key]["type"], value, words=True)
        elif key in nested and isinstance(value, Mapping):
            for inner, one in value.items():
                name, path = f"{key}.{inner}", (key, inner)
                if name in known.keys:
                    yield from _typed(path, name, known.keys[name]["type"], one, words=True)
                else:
                    names = [other for other in known.keys if other.startswith(f"{key}.")]
                    yield Problem(path, f"unknown key `{name}`", _near(name, names, "known"))
        elif key not in nested and known.find(str(key)) is None:
            yield Problem((key,), f"unknown key `{key}` in a Data-Juicer recipe", _near(str(key), _top(known.keys)))


def _top(keys: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(key.split(".")[0] for key in keys)]


def _process(process: Any, custom: bool, skip: Callable[[Way], bool]) -> Iterator[Problem]:
    if process is None:
        return
    if not isinstance(process, list):
        yield Problem(
            ("process",), f"`process` is a list of OPs, not {_kind(process)}", "- text_length_filter: {min_len: 10}"
        )
        return
    for index, entry in enumerate(process):
        path: Way = ("process", index)
        if skip(path):
            continue
        if not isinstance(entry, Mapping) or len(entry) != 1:
            what = f"{len(entry)} keys" if isinstance(entry, Mapping) else _kind(entry)
            hint = f"- {entry}: {{}}" if isinstance(entry, str) else "- text_length_filter: {min_len: 10}"
            yield Problem(path, f"an entry of `process` is one OP with its parameters, not {what}", hint)
            continue
        (name, args), *_ = entry.items()
        op = catalogue().find(str(name))
        if op is not None:
            yield from _op((*path, name), op, args, skip)
        elif not custom and not _plugins():
            yield Problem((*path, name), f"there is no OP `{name}`", _near(str(name), catalogue().names))


def _op(path: Way, op: Op, args: Any, skip: Callable[[Way], bool]) -> Iterator[Problem]:
    if skip(path):
        return
    if args is not None and not isinstance(args, Mapping):
        yield Problem(path, f"the parameters of `{op.name}` are a mapping, not {_kind(args)}")
        return
    for name, value in (args or {}).items():
        param = op.params.get(name)
        if param is None:
            own = [*dict.fromkeys([*_own(op), *op.params])]
            yield Problem(
                (*path, name), f"`{op.name}` has no parameter `{name}`", _near(str(name), own, "its own", _own(op))
            )
        elif value is not None:
            yield from _typed((*path, name), f"{op.name}.{name}", param.type, value, words=False)
    for name, param in op.params.items():
        if param.required and name not in (args or {}) and not skip((*path, name)):
            yield Problem(path, f"`{op.name}` needs the parameter `{name}`", _declared(param))


@functools.lru_cache(maxsize=256)
def _own_names(name: str) -> tuple[str, ...]:
    op = catalogue().find(name)
    base = catalogue().base_names
    return tuple(key for key in op.params if key not in base) if op else ()


def _own(op: Op) -> tuple[str, ...]:
    return _own_names(op.name)


def _typed(path: Way, name: str, declared: value_types.Type, value: Any, *, words: bool) -> Iterator[Problem]:
    if not value_types.accepts(declared, value, words_for_numbers=words):
        yield Problem(path, f"`{name}` cannot be {shown(value, key=name)}", f"it is {value_types.describe(declared)}")


def _declared(param: Param) -> str:
    return f"it is {value_types.describe(param.type)}"


def _near(name: str, names: Iterable[str], listed: str = "", shown: Iterable[str] = ()) -> str | None:
    """`did you mean ...?`, and where the names are few, all of them."""
    names = list(names)
    close = difflib.get_close_matches(name, names, 1) if len(name) <= _LONGEST else []
    words = [f"did you mean `{close[0]}`?"] if close else []
    shown = list(shown) or (names if listed else [])
    if listed and shown:
        words.append(f"{listed}: {', '.join(shown)}")
    return " ".join(words) or None


def _kind(value: Any) -> str:
    names = {str: "a string", list: "a list", dict: "a mapping", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), f"{value!r}")


@functools.cache
def _plugins() -> bool:
    """Whether packages add OPs of their own, which the catalogue cannot know."""
    return bool(entry_points(group="data_juicer.ops"))
