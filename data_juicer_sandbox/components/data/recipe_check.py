"""Validation of recipes before anything runs, without importing Data-Juicer."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import islice
from string import Formatter

from data_juicer_sandbox.components.data import value_types
from data_juicer_sandbox.components.data.catalogue import Op, Param, catalogue
from data_juicer_sandbox.components.data.rows.output import export_format
from data_juicer_sandbox.components.data.stat_conflicts import stat_conflicts
from data_juicer_sandbox.errors import MAX_PROBLEMS
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import JsonValue

RecipePath = tuple[str | int, ...]
_PLACEHOLDERS = {"job_id", "work_dir"}
_REMOTE = ("s3", "hdfs")
_LONGEST = 100
"""Characters of a name that is compared with others; a longer one is near to none."""


@dataclass(frozen=True)
class Problem:
    """An error in a recipe.

    Args:
        path: its location: keys and list indices from the top of the recipe.
        message: the error.
        hint: what would be valid.
    """

    path: RecipePath
    message: str
    hint: str | None = None


def check(recipe: Mapping[str, JsonValue], skip: Callable[[RecipePath], bool] = lambda path: False) -> list[Problem]:
    """Find all errors in a recipe that the catalogue of OPs reveals.

    Args:
        recipe: the recipe.
        skip: whether the value at a path will be set later, so that its current value is not checked.
    """
    problems = (problem for problem in _problems(recipe, skip) if not skip(problem.path))
    return list(islice(problems, MAX_PROBLEMS))


def _problems(recipe: Mapping[str, JsonValue], skip: Callable[[RecipePath], bool]) -> Iterator[Problem]:
    ops = catalogue()
    nested = {key.split(".")[0] for key in ops.keys if "." in key}
    for key, value in recipe.items():
        if skip((key,)):
            continue
        if key == "process":
            yield from _process(value, bool(recipe.get("custom_operator_paths")), skip)
        elif key == "dataset_path" and isinstance(value, list):
            continue  # several data sets, which the executor converts to Data-Juicer's multi-source form
        elif key in ops.keys:
            yield from _typed((key,), key, ops.keys[key]["type"], value, words=True)
        elif key in nested and isinstance(value, Mapping):
            for inner, inner_value in value.items():
                name, path = f"{key}.{inner}", (key, inner)
                if name in ops.keys:
                    yield from _typed(path, name, ops.keys[name]["type"], inner_value, words=True)
                else:
                    names = [other for other in ops.keys if other.startswith(f"{key}.")]
                    yield Problem(path, f"unknown key `{name}`", _near(name, names, "known"))
        elif key not in nested and ops.find(str(key)) is None:
            yield Problem((key,), f"unknown key `{key}` in a Data-Juicer recipe", _near(str(key), _top(ops.keys)))
    yield from _export(recipe, skip)
    if not skip(("process",)):
        for conflict in stat_conflicts(recipe):
            hint = "a second job that reads the result of the first one computes it again"
            yield Problem(("process", conflict.index, conflict.op), conflict.message, hint)


def _export(recipe: Mapping[str, JsonValue], skip: Callable[[RecipePath], bool]) -> Iterator[Problem]:
    """The format and the placeholders of the export, known from its name."""
    path, export_type = recipe.get("export_path"), recipe.get("export_type")
    if not isinstance(path, str) or skip(("export_path",)) or skip(("export_type",)):
        return
    try:
        names = {name for _, name, _, _ in Formatter().parse(path) if name is not None}
    except ValueError as error:
        yield Problem(("export_path",), f"`export_path` cannot be {path!r}: {error}", "a brace is written {{ or }}")
        return
    if names - _PLACEHOLDERS:
        unknown = ", ".join(f"{{{name}}}" for name in sorted(names - _PLACEHOLDERS))
        names_listed = ", ".join(f"{{{name}}}" for name in sorted(_PLACEHOLDERS))
        yield Problem(
            ("export_path",), f"`export_path` has the unknown placeholder {unknown}", f"known: {names_listed}"
        )
        return
    scheme, separator, _ = path.partition("://")
    if separator and scheme.lower() not in _REMOTE:
        yield Problem(("export_path",), f"`export_path` cannot be on {scheme}://", "a local path, s3:// or hdfs://")
    elif export_type is None or isinstance(export_type, str):
        try:
            export_format(path, export_type)
        except ValueError as error:
            yield Problem(("export_type",) if export_type else ("export_path",), str(error))


def _top(keys: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(key.split(".")[0] for key in keys)]


def _process(process: JsonValue, custom: bool, skip: Callable[[RecipePath], bool]) -> Iterator[Problem]:
    if process is None:
        return
    if not isinstance(process, list):
        yield Problem(
            ("process",),
            f"`process` must be a list of OPs, not {_type_name(process)}",
            "- text_length_filter: {min_len: 10}",
        )
        return
    for index, entry in enumerate(process):
        path: RecipePath = ("process", index)
        if skip(path):
            continue
        if not isinstance(entry, Mapping) or len(entry) != 1:
            what = f"{len(entry)} keys" if isinstance(entry, Mapping) else _type_name(entry)
            hint = f"- {entry}: {{}}" if isinstance(entry, str) else "- text_length_filter: {min_len: 10}"
            yield Problem(path, f"an entry of `process` must be one OP with its parameters, not {what}", hint)
            continue
        (name, args), *_ = entry.items()
        op = catalogue().find(str(name))
        if op is not None:
            yield from _op((*path, name), op, args, skip)
        elif not custom and not _plugins():
            yield Problem((*path, name), f"unknown OP `{name}`", _near(str(name), catalogue().names))


def _op(path: RecipePath, op: Op, args: JsonValue, skip: Callable[[RecipePath], bool]) -> Iterator[Problem]:
    if skip(path):
        return
    if args is not None and not isinstance(args, Mapping):
        yield Problem(path, f"the parameters of `{op.name}` must be a mapping, not {_type_name(args)}")
        return
    for name, value in (args or {}).items():
        param = op.params.get(name)
        if param is None:
            names = [*dict.fromkeys([*_own_params(op), *op.params])]
            yield Problem(
                (*path, name),
                f"`{op.name}` has no parameter `{name}`",
                _near(str(name), names, "its own parameters", _own_params(op)),
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


def _own_params(op: Op) -> tuple[str, ...]:
    return _own_names(op.name)


def _typed(
    path: RecipePath, name: str, declared: value_types.Type, value: JsonValue, *, words: bool
) -> Iterator[Problem]:
    if not value_types.accepts(declared, value, words_for_numbers=words):
        yield Problem(
            path, f"`{name}` cannot be {shown(value, key=name)}", f"expected {value_types.describe(declared)}"
        )


def _declared(param: Param) -> str:
    return f"expected {value_types.describe(param.type)}"


def _near(name: str, names: Iterable[str], listed: str = "", listed_names: Iterable[str] = ()) -> str | None:
    """`did you mean ...?` with the closest name, and a list of names."""
    names = list(names)
    close = difflib.get_close_matches(name, names, 1) if len(name) <= _LONGEST else []
    words = [f"did you mean `{close[0]}`?"] if close else []
    listed_names = list(listed_names) or (names if listed else [])
    if listed and listed_names:
        words.append(f"{listed}: {', '.join(listed_names)}")
    return " ".join(words) or None


def _type_name(value: object) -> str:
    names = {str: "a string", list: "a list", dict: "a mapping", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), f"{value!r}")


@functools.cache
def _plugins() -> bool:
    """Whether other packages add OPs, which the catalogue does not contain."""
    return bool(entry_points(group="data_juicer.ops"))
