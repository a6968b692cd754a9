"""A component's constructor as the schema of its config: its parameters are checked, converted and documented."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from data_juicer_sandbox.components.base import Role, Written
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import MAX_PROBLEMS, ConfigError
from data_juicer_sandbox.type_conversion import ConversionError, convert, has_type, spell, unpack_annotation

__all__ = ["Parameter", "Problem", "argument_texts", "build", "check", "own_argument_texts", "parameters", "spell"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor."""

    name: str
    hint: object
    """Its type, without the role."""
    role: Role | None
    required: bool
    default: object
    written: Written = Written.BY_NAME
    """How an output is written."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with one parameter."""

    name: str
    what: str
    hint: str | None = None


T = TypeVar("T")
_SIGNATURES: dict[type[object], tuple[dict[str, Parameter], bool]] = {}


def parameters(cls: type[object]) -> tuple[dict[str, Parameter], bool]:
    """The parameters of a class by name, and whether it takes others too (`**kwargs`)."""
    if cls not in _SIGNATURES:
        _SIGNATURES[cls] = _read_signature(cls)
    return _SIGNATURES[cls]


def _read_signature(cls: type[object]) -> tuple[dict[str, Parameter], bool]:
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
        hint, metadata = unpack_annotation(hints.get(name, Any))
        role = next((item for item in metadata if isinstance(item, Role)), None)
        written = next((item for item in metadata if isinstance(item, Written)), Written.BY_NAME)
        required = parameter.default is parameter.empty
        declared[name] = Parameter(name, hint, role, required, None if required else parameter.default, written)
    return declared, any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())


def check(
    cls: type[object], values: Mapping[str, object], skip: Callable[[str], bool] = lambda name: False
) -> list[Problem]:
    """Check the values for a constructor.

    Args:
        cls: the component.
        values: parameters by name.
        skip: whether the value of a parameter is set later, so that its current value is not checked.

    Returns:
        all problems, at most `MAX_PROBLEMS`.
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
            continue
        try:
            _convert(declared[name], value)
        except ConversionError as error:
            problems.append(Problem(name, f"parameter {name!r}: {error}"))
    for name, parameter in declared.items():
        if parameter.required and name not in values and not skip(name):
            problems.append(Problem(name, f"parameter {name!r} is missing", f"type: {spell(parameter.hint)}"))
    return problems


def build(cls: type[T], values: Mapping[str, object]) -> T:
    """Create a component.

    Raises:
        ConfigError: the values do not fit; names all problems.
    """
    problems = check(cls, values)
    if problems:
        raise ConfigError("; ".join(f"{p.what} ({p.hint})" if p.hint else p.what for p in problems))
    declared, _ = parameters(cls)
    return cls(
        **{
            name: _convert(declared[name], value) if name in declared else value
            for name, value in values.items()
            if name not in declared or not _uses_default(declared[name], value)
        }
    )


def _convert(parameter: Parameter, value: object) -> object:
    if _uses_default(parameter, value):
        return parameter.default
    if parameter.role is not None:
        value = _paths(value, parameter.hint)
    return convert(value, parameter.hint, parameter.name)


def _uses_default(parameter: Parameter, value: object) -> bool:
    """Whether null stands for the default, since the parameter has one and its type excludes null."""
    return value is None and not parameter.required and not has_type(None, parameter.hint)


def _paths(value: object, hint: object) -> object:
    """Paths as the parameter takes them: a list with one path as this path where the parameter takes no list, and a
    list of lists, which results from combining the outputs of several jobs, as one list.
    """
    if isinstance(value, list) and not has_type(value, hint):
        if len(value) == 1:
            return _paths(value[0], hint)
        if any(isinstance(item, list) for item in value):
            return [path for item in value for path in (item if isinstance(item, list) else [item])]
    return value


def argument_texts(cls: type[object]) -> dict[str, str]:
    """The Args section of a class and of those it derives from, its own text first."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        texts.update(own_argument_texts(base))
    return texts


def own_argument_texts(cls: type[object]) -> dict[str, str]:
    """The Args section of a class's own docstring: text by parameter."""
    from docstring_parser import DocstringStyle, parse

    if not cls.__doc__ or "Args:" not in cls.__doc__:
        return {}
    docstring = parse(inspect.cleandoc(cls.__doc__), style=DocstringStyle.GOOGLE)
    return {p.arg_name: " ".join((p.description or "").split()) for p in docstring.params}
