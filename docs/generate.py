"""Writes the reference pages from the code; with `--check` it only says which are out of date.

Usage: python docs/generate.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from data_juicer_sandbox.cli.describe import Described, describe_component, describe_hook
from data_juicer_sandbox.config.keys import KEYS
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks import HOOKS
from data_juicer_sandbox.signatures import spell

REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Written by docs/generate.py from the code. Change the docstring, not this page. -->\n"


def pages() -> dict[str, str]:
    """Every page by its path below `docs/reference`."""
    made = {"README.md": _index(), "config.md": _config()}
    made.update({f"hooks/{name}.md": _page(_hook(describe_hook(name))) for name in HOOKS})
    made.update({f"components/{name}.md": _page(_kind(name)) for name in FACTORIES})
    return made


def stale() -> list[str]:
    """Pages that differ from what the code says, are missing, or are of something that is gone."""
    made = pages()
    there = {str(path.relative_to(REFERENCE)): path for path in REFERENCE.rglob("*.md")}
    differing = [name for name, text in made.items() if name not in there or there[name].read_text() != text]
    return sorted([*differing, *(set(there) - set(made))])


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; returns the exit code."""
    found = stale()
    if arguments == ["--check"]:
        sys.stdout.write("".join(f"out of date: {name}\n" for name in found))
        return 1 if found else 0
    made = pages()
    for name in found:
        path = REFERENCE / name
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[name])
        else:
            path.unlink()
    sys.stdout.write(f"{len(found)} of {len(made)} pages written\n")
    return 0


def _index() -> str:
    def lines() -> Iterator[str]:
        yield "# Reference\n"
        yield "[Keys of a config](config.md). The same as below on the command line: `dj-sandbox list [NAME]`.\n"
        yield "## Hooks\n"
        yield "| hook | phases | does |\n| --- | --- | --- |"
        for name in HOOKS:
            hook = describe_hook(name)
            yield f"| [{name}](hooks/{name}.md) | {hook.facts['phases']} | {_cell(hook.summary)} |"
        yield "\n## Components\n"
        yield "| factory | `type` |\n| --- | --- |"
        for name, factory in FACTORIES.items():
            types = ", ".join(f"[`{type_}`](components/{name}.md#{type_})" for type_ in factory.builtin)
            yield f"| [{name}](components/{name}.md) | {types or 'none built in'} |"

    return _page(lines())


def _config() -> str:
    def lines() -> Iterator[str]:
        yield "# Keys of a config\n"
        yield "Each is also a flag (`--work_dir`) and an environment variable (`DJ_SANDBOX_WORK_DIR`).\n"
        yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
        for key in KEYS.values():
            default = "null" if key.default is None else str(key.default).lower() if key.type is bool else key.default
            yield f"| `{key.name}` | {_cell(spell(key.type))} | `{default}` | {_cell(key.help)} |"

    return _page(lines())


def _hook(hook: Described) -> Iterator[str]:
    yield f"# {hook.name}\n"
    yield from _body(hook)


def _kind(name: str) -> Iterator[str]:
    factory = FACTORIES[name]
    yield f"# {name}\n"
    if not factory.builtin:
        yield "No component is built in. A dotted path as `type`, or a plug-in, brings one.\n"
    for type_ in factory.builtin:
        yield f"## {type_}\n"
        yield from _body(describe_component(factory, type_))


def _body(thing: Described) -> Iterator[str]:
    yield f"{thing.text}\n"
    yield from (f"- {label}: {value}" for label, value in thing.facts.items() if value)
    yield ""
    if thing.parameters:
        yield "| parameter | type | default | |\n| --- | --- | --- | --- |"
        for one in thing.parameters:
            default = "required" if one.default is None else f"`{one.default}`"
            yield f"| `{one.name}` | {_cell(one.type)} | {_cell(default)} | {_cell(one.text)} |"
        yield ""


def _page(lines: Iterator[str]) -> str:
    return _NOTE + "\n" + "\n".join(lines).rstrip("\n") + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
