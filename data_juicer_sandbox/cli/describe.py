"""Descriptions of hooks and components with their parameters, read from the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile

from data_juicer_sandbox.components.base import Component, Role
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import FACTORIES, Factory, import_class
from data_juicer_sandbox.hooks import HOOKS
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.plugins import plugins
from data_juicer_sandbox.signatures import argument_texts, parameters, spell

_ROLES = {Role.INPUT: "path, read", Role.OUTPUT: "path, written", Role.MODEL: "folder or hub id"}


@dataclass(frozen=True)
class Described:
    """One hook or component.

    Args:
        name: as a config names it.
        summary: the docstring's first sentence or line.
        text: the docstring without its sections.
        parameters: its own keys, for a component.
        facts: other properties of the class, by label.
    """

    name: str
    summary: str
    text: str
    parameters: tuple[Described.Parameter, ...]
    facts: dict[str, str]

    @dataclass(frozen=True)
    class Parameter:
        """A key of `extra_configs`; `default` is None where it is required."""

        name: str
        type: str
        default: str | None
        text: str


def hooks() -> list[str]:
    """The names of all hooks, plug-ins too."""
    return list({**HOOKS, **plugins("hooks")})


def describe_hook(name: str) -> Described:
    """A hook by its name.

    Raises:
        ConfigError: it cannot be imported.
    """
    from data_juicer_sandbox.hooks import find_hook

    hook = find_hook(name)
    facts = {"phases": _phases(hook)}
    if hook.factory:
        facts["components"] = f"{hook.factory}: {', '.join(FACTORIES[hook.factory].types()) or 'none built in'}"
    if hook.reads_probe:
        facts["reads"] = "metrics that the probe of the same `meta_name` recorded"
    summary, text = _docstring(hook)
    described = describe(name, import_class(hook.component)) if hook.component else None
    if described:  # the hook's only component: its keys are those of the hook, and its text follows that of the hook
        text, facts = f"{text}\n\n{described.text}", {**facts, **described.facts}
    return Described(name, summary, text, described.parameters if described else (), facts)


def _phases(hook: type[Hook]) -> str:
    """The names of a hook's phases; a plug-in may declare them as texts."""
    phases: object = hook.phases
    names = [phases] if isinstance(phases, str) else list(phases) if isinstance(phases, tuple | list) else []
    return ", ".join(str(getattr(phase, "value", phase)) for phase in names)


def describe_component(factory: Factory, name: str) -> Described:
    """A component of a factory by its `type`.

    Raises:
        ConfigError: it cannot be imported.
    """
    component = factory.find(name)
    facts = {
        "factory": factory.name + (" (its default)" if factory.default == name else ""),
        "hook": ", ".join(_users(factory)),
    }
    return describe(name, component, facts)


def _users(factory: Factory) -> Iterator[str]:
    """The hooks that build their components through a factory."""
    for name in HOOKS:
        with suppress(ConfigError):  # its own entry in the list shows the error
            if getattr(import_class(HOOKS[name]), "factory", None) == factory.name:
                yield name


def describe(name: str, component: type[object], facts: dict[str, str] | None = None) -> Described:
    """Any component class."""
    summary, text = _docstring(component)
    facts = dict(facts or {})
    if outputs := getattr(component, "outputs", None):
        facts["outputs"] = ", ".join(outputs)
    if needs := _requirements(component):
        facts["needs"] = needs
    metrics = getattr(component, "metrics", None)
    if metrics != ():
        facts["metrics"] = "not known before the run" if metrics is None else ", ".join(map(str, metrics))
    if facts.get("factory"):
        facts["class"] = f"{component.__module__}.{component.__qualname__}"
    return Described(name, summary, text, tuple(_parameters(component)), facts)


def _requirements(component: type[object]) -> str:
    """The libraries that the class needs in any case, by the extra that installs them."""
    by_extra: dict[str | None, list[str]] = {}
    for library in getattr(component, "requires", ()):
        by_extra.setdefault(library.extra, []).append(library.module)
    return "; ".join(
        ", ".join(modules) + (f" (extra `{extra}`)" if extra else "") for extra, modules in by_extra.items()
    )


def _parameters(component: type[object]) -> Iterator[Described.Parameter]:
    texts = argument_texts(component)
    for name, parameter in parameters(component)[0].items():
        role = f" ({_ROLES[parameter.role]})" if parameter.role else ""
        default = None if parameter.required else _default(parameter.default)
        yield Described.Parameter(name, spell(parameter.hint) + role, default, texts.get(name, ""))


def _default(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def _docstring(thing: type[object]) -> tuple[str, str]:
    """First line, and all paragraphs before the sections."""
    classes = takewhile(lambda base: base not in (Component, Hook, object), thing.__mro__)
    docstring = next((base.__doc__ for base in classes if base.__doc__), None)
    cleaned = inspect.cleandoc(docstring or "(no docstring)")
    text = re.split(r"\n\s*(?:Args|Attributes|Returns|Raises):\s*\n", cleaned, maxsplit=1)[0].strip()
    first = text.partition("\n\n")[0].replace("\n", " ")
    return first, text
