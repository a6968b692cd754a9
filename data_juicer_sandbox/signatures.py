"""A component's constructor as the schema of its config: what is checked, coerced and built from it.

jsonargparse decides about types. It is called only for values that `_fits` does not accept, because building its parser
for a class takes longer than checking a hundred jobs. It parses a text as YAML if the type is not a text; this uses the
reader of configs, with its limits.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from data_juicer_sandbox.components.base import Role, Written
from data_juicer_sandbox.config.limits import check_limits
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.errors import MAX_PROBLEMS, ConfigError
from data_juicer_sandbox.secrets import shorten, shown

_READER = "dj_sandbox_yaml"
_MAX_TEXT = 1 << 20
"""Characters of a text that is read as YAML because its parameter is a list, a mapping or a number."""

_TOO_LARGE = 1 << 1023
"""Integers from here on may be no float."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor."""

    name: str
    hint: Any
    """Its type, without the role."""
    role: Role | None
    required: bool
    default: Any
    written: Written = Written.BY_NAME
    """How an output is written."""


@dataclass(frozen=True)
class Problem:
    """A problem of one parameter."""

    name: str
    what: str
    hint: str | None = None


_SIGNATURES: dict[type[Any], tuple[dict[str, Parameter], bool]] = {}


def parameters(cls: type[Any]) -> tuple[dict[str, Parameter], bool]:
    """The parameters of a class by name, and whether it takes others too (`**kwargs`)."""
    if cls not in _SIGNATURES:
        _SIGNATURES[cls] = _read_signature(cls)
    return _SIGNATURES[cls]


def _read_signature(cls: type[Any]) -> tuple[dict[str, Parameter], bool]:
    try:
        signature = inspect.signature(cls)
        # The constructor's own names, not those of the module the class was imported into.
        hints = get_type_hints(cls.__init__, include_extras=True)
    except Exception as error:  # an annotation of a user's class that names nothing
        what = f"the constructor of {cls.__module__}.{cls.__qualname__} cannot be read: {error}"
        raise ConfigError(what, hint="use types that its module imports") from error
    declared: dict[str, Parameter] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        hint, metadata = _split_annotated(hints.get(name, Any))
        role = next((item for item in metadata if isinstance(item, Role)), None)
        written = next((item for item in metadata if isinstance(item, Written)), Written.BY_NAME)
        required = parameter.default is parameter.empty
        declared[name] = Parameter(name, hint, role, required, None if required else parameter.default, written)
    return declared, any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())


def check(cls: type[Any], values: Mapping[str, Any], skip: Callable[[str], bool] = lambda name: False) -> list[Problem]:
    """All problems of the values for a constructor.

    Args:
        cls: the component.
        values: parameters by name.
        skip: whether the value of a parameter is set later, and is not checked now.
    """
    declared, open_ended = parameters(cls)
    problems: list[Problem] = []
    for name, value in values.items():
        if skip(name):
            continue
        if len(problems) >= MAX_PROBLEMS:
            return problems
        if name not in declared:
            if not open_ended:
                problems.append(Problem(name, f"unknown parameter {name!r}", suggest(str(name), declared)))
        elif not _uses_default(declared[name], value) and not _fits(unwrap(declared[name], value), declared[name].hint):
            what = _type_problem(declared[name], unwrap(declared[name], value))
            if what:
                problems.append(Problem(name, f"parameter {name!r}: {what}"))
    for name, parameter in declared.items():
        if parameter.required and name not in values and not skip(name):
            problems.append(Problem(name, f"parameter {name!r} is missing", f"a {spell(parameter.hint)}"))
    return problems


def build(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """Make a component.

    Raises:
        ConfigError: the values do not fit; lists all problems.
    """
    problems = check(cls, values)
    if problems:
        raise ConfigError("; ".join(f"{p.what} ({p.hint})" if p.hint else p.what for p in problems))
    declared, _ = parameters(cls)
    arguments = {}
    for name, value in values.items():
        if name in declared and _uses_default(declared[name], value):
            continue
        if name in declared:
            value = unwrap(declared[name], value)
            if not _fits(value, declared[name].hint):
                value = _parsed(declared[name].hint, value)
            elif declared[name].hint is float:
                value = float(value)
        arguments[name] = value
    return cls(**arguments)


def unwrap(parameter: Parameter, value: Any) -> Any:
    """Adapt paths to a parameter: a list of one path becomes that path if the parameter is a single path; nested lists,
    which occur when the results of several jobs are combined, are flattened.
    """
    if parameter.role and isinstance(value, list) and not _fits(value, parameter.hint):
        if len(value) == 1:
            return unwrap(parameter, value[0])
        if any(isinstance(item, list) for item in value):
            return [path for item in value for path in (item if isinstance(item, list) else [item])]
    return value


def spell(hint: Any) -> str:
    """A type as a person writes it."""
    if hint is type(None):
        return "null"
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return spell(args[0])
    if origin is Literal:
        return " | ".join(repr(choice) for choice in args)
    if origin in (Union, types.UnionType):
        return " | ".join(spell(choice) for choice in args)
    if origin is not None:
        return f"{getattr(origin, '__name__', origin)}[{', '.join(map(spell, args))}]"
    return getattr(hint, "__name__", str(hint))


def _split_annotated(hint: Any) -> tuple[Any, list[Any]]:
    """A type without its annotations, and these; found inside a union with None as well."""
    if get_origin(hint) is Annotated:
        base, *metadata = get_args(hint)
        return base, metadata
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_split_annotated(choice) for choice in get_args(hint)]
        metadata = [item for _, part_metadata in parts for item in part_metadata]
        return Union[tuple(part for part, _ in parts)], metadata  # noqa: UP007  # made at run time
    return hint, []


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value certainly has a type, without conversion."""
    if hint is Any or hint is object or hint is inspect.Parameter.empty:
        return True
    if hint is None or hint is type(None):
        return value is None
    if hint in (str, bool, int):
        return type(value) is hint
    if hint is float:
        return type(value) is float or (type(value) is int and abs(value) < _TOO_LARGE)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(value, args[0])
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in args)
    if origin in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in args)
    if hint is list or origin is list:
        return isinstance(value, list) and (not args or all(_fits(item, args[0]) for item in value))
    if hint is dict or origin in (dict, Mapping):
        return isinstance(value, dict) and all(
            _fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items() if args
        )
    return False


def _uses_default(parameter: Parameter, value: Any) -> bool:
    """Whether null stands for the default: the parameter has one, and its type does not include None."""
    return value is None and not parameter.required and not _fits(None, parameter.hint)


def _type_problem(parameter: Parameter, value: Any) -> str | None:
    """The error of jsonargparse for a value; None if it accepts the value."""
    refused = f"expected {spell(parameter.hint)}, got {shown(value, key=parameter.name)}"
    if value is None:  # jsonargparse takes it for a value that is not set
        return f"expected {spell(parameter.hint)}, got null"
    try:
        for text in _texts(value):
            if len(text) > _MAX_TEXT:
                return f"{refused} (a text of {len(text):,} characters)"
            check_limits(text, "its text")  # for the types whose texts jsonargparse reads by itself
    except ConfigError as error:
        return f"{refused} ({error.what})"
    try:
        _parsed(parameter.hint, value)
    except (Exception, SystemExit) as error:  # it wraps whatever a type's own constructor or module raises
        error_lines = str(error).partition("\n")[2].strip().splitlines()
        if len(error_lines) != 1 or error_lines[0].startswith("Expected a <class"):
            return refused
        return shorten(error_lines[0].strip(), 300, "...")
    return None


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _parsed(hint: Any, value: Any) -> Any:
    """A copy of a value, converted to a type by jsonargparse."""
    return _parser(hint).parse_object({"value": deepcopy(value)}).as_dict()["value"]


def _read_text(text: str) -> Any:
    """The value of a text as YAML."""
    return parse(text, "its text").value


@cache
def _parser(hint: Any) -> Any:
    from jsonargparse import ArgumentParser, set_loader

    set_loader(_READER, _read_text, exceptions=(ConfigError,))
    parser = ArgumentParser(exit_on_error=False, parser_mode=_READER)
    parser.add_argument("--value", type=hint)
    return parser
