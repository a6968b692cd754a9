"""`dj-sandbox list [NAME]`: hooks and components, or one of them with its parameters."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable, Iterator

from data_juicer_sandbox.cli.describe import Described, describe, describe_component, describe_hook, hooks
from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import FACTORIES, import_class

NAME = "list"
_LONG = 60
"""Lines from which a short form is shown."""
HELP = "list hooks and components, or show one with its parameters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("name", nargs="?", help="a hook, a `type`, a factory, or a dotted path")
    parser.add_argument("--all", action="store_true", help="show everything, also if it is long")


def run(args: argparse.Namespace) -> int:
    """Print; returns the exit code."""
    try:
        lines = list(_everything()) if args.name is None else list(_one(args.name, _details))
        if args.name is not None and len(lines) > _LONG and not getattr(args, "all", False):
            lines = [*_one(args.name, _summary), "", f"`dj-sandbox list {args.name} --all` explains each parameter."]
    except ConfigError as error:
        complain(f"dj-sandbox: {error}")
        return error.exit_code
    say("\n".join(lines))
    return 0


def _everything() -> Iterator[str]:
    yield "Hooks"
    for name in hooks():
        try:
            hook = describe_hook(name)
            yield from _entry(name, f"[{hook.facts['phases']}] {hook.summary}", 36)
        except Exception as error:  # a plug-in that is broken must not hide the others
            yield from _entry(name, _fault(error), 36)
    yield "\nComponents, by factory"
    for name in FACTORIES:
        yield from _factory(name)
    yield "\n`dj-sandbox list NAME` shows a hook, a component with its parameters, or a factory."


def _factory(name: str) -> Iterator[str]:
    factory = FACTORIES[name]
    yield f"  {name}"
    for component in factory.types():
        try:
            yield from _entry(component, describe_component(factory, component).summary, 36, indent=4)
        except Exception as error:
            yield from _entry(component, _fault(error), 36, indent=4)
    if not factory.types():
        yield "    none built in; set `type` to a dotted path to use your own class"


def _fault(error: Exception) -> str:
    return str(error) if isinstance(error, ConfigError) else f"cannot be described: {type(error).__name__}: {error}"


def _one(name: str, show: Callable[[Described], Iterator[str]]) -> Iterator[str]:
    if name in FACTORIES:
        yield from _factory(name)
        return
    if name in hooks():
        yield from show(describe_hook(name))
        return
    factories = [factory for factory in FACTORIES.values() if name in factory.types()]
    for number, factory in enumerate(factories):
        yield from [""] * bool(number)
        yield from show(describe_component(factory, name))
    if not factories and "." in name:
        yield from show(describe(name, import_class(name)))
    elif not factories:
        names = {*hooks(), *FACTORIES, *(type_ for factory in FACTORIES.values() for type_ in factory.types())}
        raise ConfigError(f"unknown hook, component or factory {name!r}", hint=suggest(name, names))


def _summary(thing: Described) -> Iterator[str]:
    """The first paragraph, and the names of the parameters with their defaults."""
    yield thing.name
    yield from _wrap(thing.summary, "  ")
    for label, value in thing.facts.items():
        if label != "metrics":
            yield from _entry(f"{label}:", value, 14)
    required = [f"{parameter.name}: {parameter.type}" for parameter in thing.parameters if parameter.default is None]
    optional = [f"{parameter.name}={parameter.default}" for parameter in thing.parameters if parameter.default]
    yield from _entry("required:", "; ".join(required) or "nothing", 14)
    if optional:
        yield from _entry("optional:", ", ".join(optional), 14)


def _details(thing: Described) -> Iterator[str]:
    yield thing.name
    for paragraph in thing.text.split("\n\n"):
        yield from ["", *_wrap(" ".join(paragraph.split()), "  ")]
    yield ""
    for label, value in thing.facts.items():
        yield from _entry(f"{label}:", value, 14)
    if thing.parameters:
        yield "\n  parameters (keys of `extra_configs`; a recipe comes from the job's `dj_configs`)"
    for parameter in thing.parameters:
        default = "required" if parameter.default is None else f"default {parameter.default}"
        yield from _wrap(f"{parameter.name}: {parameter.type}, {default}", "    ", "      ")
        yield from _wrap(parameter.text, "        ")


def _entry(name: str, text: str, column: int, indent: int = 2) -> Iterator[str]:
    lines = _wrap(text, " " * column) or [""]
    head = f"{' ' * indent}{name}"
    if len(head) < column:
        yield head.ljust(column) + lines[0].lstrip()
        yield from lines[1:]
    else:
        yield from [head, *lines]


def _wrap(text: str, first: str, others: str | None = None) -> list[str]:
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    after = first if others is None else others
    lines = textwrap.TextWrapper(width, first, after, break_long_words=False, break_on_hyphens=False)
    return lines.wrap(text)
