"""Writes the reference pages from the code; with `--check` it only says which are out of date.

Usage: python docs/generate.py [--check]
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import data_juicer_sandbox
from data_juicer_sandbox.cli.describe import Described, describe_component, describe_hook
from data_juicer_sandbox.cli.main import COMMANDS, command_parser
from data_juicer_sandbox.code_policy import code_policy
from data_juicer_sandbox.config.keys import KEYS
from data_juicer_sandbox.config.parallel import Parallel, Resources
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks import HOOKS
from data_juicer_sandbox.migrate import tables
from data_juicer_sandbox.signatures import own_argument_texts, spell

REFERENCE = Path(__file__).parent / "reference"
BY_HAND = ("files.md",)
"""Pages of the reference that no code can write."""
_SHARED = {"file", "config", "set", *KEYS}
"""Options of every command that reads a config."""
_NOTE = "<!-- Written by docs/generate.py from the code. Change the docstring, not this page. -->\n"


def pages() -> dict[str, str]:
    """Every page by its path below `docs/reference`. Plug-ins that happen to be installed are not among them."""
    with code_policy(own_code_only=True):
        return _pages()


def _pages() -> dict[str, str]:
    made = {
        "README.md": _index(),
        "config.md": _config(),
        "command_line.md": _command_line(),
        "python_api.md": _python_api(),
        "migrate.md": _migrate(),
    }
    made.update({f"hooks/{name}.md": _page(_hook(describe_hook(name))) for name in HOOKS})
    made.update({f"components/{name}.md": _page(_kind(name)) for name in FACTORIES})
    return made


def stale() -> list[str]:
    """Pages that differ from what the code says, are missing, or are of something that is gone."""
    made = pages()
    there = {str(path.relative_to(REFERENCE)): path for path in REFERENCE.rglob("*.md")}
    there = {name: path for name, path in there.items() if name not in BY_HAND}
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
        yield "- [Command line](command_line.md): the commands and their options"
        yield "- [Keys of a config](config.md): the top-level keys"
        yield "- [Python API](python_api.md): `import data_juicer_sandbox as dj`"
        yield "- [Files of a run](files.md): the checkpoint, `metrics.jsonl`, the work directory"
        yield "- [Changes by migrate](migrate.md): names, defaults and meanings that differ from the original sandbox"
        yield "- [Hooks](#hooks) and [components](#components); in a terminal: `dj-sandbox list [NAME]`\n"
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
        yield "\n## `parallel`\n"
        yield (
            "The name of a backend, or a mapping of these keys: [Run jobs side by side](../parallel.md). Parameters of"
            " SLURM are `slurm_<name>` with submitit's names, such as `slurm_partition`.\n"
        )
        yield from _fields(Parallel, "slurm")
        yield "\n## `resources`\n"
        yield "In `parallel`: of all tasks; in a job: of its tasks.\n"
        yield from _fields(Resources)

    return _page(lines())


def _fields(cls: type[Parallel | Resources], *internal: str) -> Iterator[str]:
    """The table of the keys that a dataclass holds."""
    texts, hints = own_argument_texts(cls), get_type_hints(cls)
    yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
    for part in dataclasses.fields(cls):
        if part.name not in internal:
            default = "null" if part.default in (None, dataclasses.MISSING) else part.default
            hint = "mapping" if part.default is dataclasses.MISSING else spell(hints[part.name])
            yield f"| `{part.name}` | {_cell(hint)} | `{default}` | {_cell(texts[part.name])} |"


def _command_line() -> str:
    def lines() -> Iterator[str]:
        yield "# Command line\n"
        yield "`dj-sandbox --help` and `dj-sandbox COMMAND --help` print the same. The commands:\n"
        yield "| command | does |\n| --- | --- |"
        for name, text in COMMANDS.items():
            yield f"| [`{name}`](#{name}) | {_cell(text)} |"
        yield "\nExit codes: 0 success, 1 a job failed, 2 the config or the usage is wrong, 130 interrupted.\n"
        for name in COMMANDS:
            yield from _command(name)
        yield "## Options of run, validate and plan\n"
        yield (
            "Every top-level [key of a config](config.md) is an option of these commands, such as `--resume true`."
            " The option overrides the environment variable (`DJ_SANDBOX_WORK_DIR`), and the variable overrides the"
            " file. `--trust-checkpoint` has no variable.\n"
        )
        yield "| option | value | |\n| --- | --- | --- |"
        for action in _actions("validate"):
            if action.dest in _SHARED:
                yield _option(action)

    return _page(lines())


def _command(name: str) -> Iterator[str]:
    parser = command_parser(name)
    yield f"## {name}\n"
    yield f"{parser.description[0].upper()}{parser.description[1:].rstrip('.')}.\n"
    configured = any(action.dest == "config" for action in _actions(name)) and name not in ("report", "status")
    own = [action for action in _actions(name) if not (configured and action.dest in _SHARED)]
    arguments = " ".join(_usage(action) for action in own if not action.option_strings)
    yield (f"```text\ndj-sandbox {name}{' FILE' if configured else ''} [options] {arguments}".rstrip() + "\n```\n")
    if own:
        yield "| option or argument | value | |\n| --- | --- | --- |"
        yield from map(_option, own)
        yield ""
    if configured:
        yield "It also has the [options of a config](#options-of-run-validate-and-plan).\n"


def _actions(name: str) -> list[argparse.Action]:
    """The options and arguments of a command, without `--help` and those that jsonargparse adds."""
    skipped = ("help", "print_config") if name != "run" else ("help",)
    return [action for action in command_parser(name)._actions if action.dest not in skipped]


def _usage(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    return {"?": f"[{value}]", "+": f"{value} ..."}.get(str(action.nargs), value)


def _option(action: argparse.Action) -> str:
    label = ", ".join(action.option_strings) or _usage(action)
    value = "" if action.nargs == 0 or not action.option_strings else str(action.metavar or action.dest.upper())
    help_text = action.help or ""
    return f"| `{label}` | {f'`{_cell(value)}`' if value else ''} | {_cell(help_text)} |"


def _migrate() -> str:
    def lines() -> Iterator[str]:
        yield "# Changes by migrate\n"
        yield (
            "What [`dj-sandbox migrate`](command_line.md#migrate) changes in a config of the original sandbox. The page"
            " [Coming from the original sandbox](../from_the_original.md) says how to use it.\n"
        )
        yield "## Rules\n"
        yield "| in | change | reason |\n| --- | --- | --- |"
        for area, change, reason in tables.GENERAL:
            yield f"| {area} | {_cell(change)} | {_cell(reason)} |"
        for name, (value, reason) in tables.RECIPE_DEFAULTS.items():
            yield f"| recipe | {_cell(f'`{name}: {str(value).lower()}` added')} | {_cell(reason)} |"
        yield "\n## Hooks and components\n"
        yield "Differences that no change can remove are written into the new config as comments (`# migrate: ...`).\n"
        yield "| change or difference | hook or type | reason |\n| --- | --- | --- |"
        concerned: dict[tuple[str, str], list[str]] = {}
        for label, table, outputs in _migrated_components():
            for row in _differences(table, outputs):
                concerned.setdefault(row, []).append(label)
        for (change, reason), labels in concerned.items():
            yield f"| {_cell(change)} | {', '.join(dict.fromkeys(labels))} | {_cell(reason)} |"

    return _page(lines())


def _migrated_components() -> Iterator[tuple[str, tables.ComponentTable, tuple[str, ...]]]:
    """Name, table and further results of every hook and type that both sandboxes have."""
    for name, table in tables.HOOKS.items():
        yield f"`{name}`", table, ()
    hooks = {factory: hook for hook, factory in tables.FACTORY_OF_HOOK.items()}
    for (factory, name), table in tables.COMPONENTS.items():
        if name in FACTORIES[factory].builtin:
            shared = sum(other == name for _, other in tables.COMPONENTS) > 1 and name != "data_pool_ranking"
            label = f"`{name}` ({hooks[factory]})" if shared else f"`{name}`"
            yield label, table, tables.EXTRA_OUTPUTS.get((factory, name), ())


def _differences(table: tables.ComponentTable, outputs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Change and reason of everything that differs in a component."""
    for old, new in table.renamed.items():
        yield f"`{old}` -> `{new}`", ""
    for key, (value, reason) in table.defaults.items():
        yield f"`{key}: {str(value).lower()}` added if it is absent", reason
    for key, reason in {**table.ignored, **table.removed}.items():
        yield f"`{key}` removed", reason
    if table.rest:
        yield f"all other keys moved into `{table.rest}`", "they were passed on there"
    for index, key in table.numbers.items():
        yield f"`.{key}` added to keys of result {index + 1}", "a number there"
    for output in outputs:
        yield f"`output` extended by `{output}`", "a further result here"
    for key, text in table.notes.items():
        yield (f"comment at `{key}`: {text}" if key else f"comment: {text}"), ""
    for key, text in table.absent_notes.items():
        yield f"comment if `{key}` is absent: {text}", ""


def _python_api() -> str:
    def lines() -> Iterator[str]:
        yield "# Python API\n"
        yield "```python\nimport data_juicer_sandbox as dj\n```\n"
        yield (
            "Each name is imported when it is first used; the import itself loads no heavy library. The examples run as"
            " tests. The [tutorial](../tutorial.md#the-same-from-python) uses these calls in one experiment.\n"
        )
        for name in ("Sandbox", "Plan", "Results", "load_results", "run_component"):
            yield from _public(f"dj.{name}", getattr(data_juicer_sandbox, name), "##")
        yield "## Errors\n"
        yield "| error | raised if |\n| --- | --- |"
        for name in ("SandboxError", "ConfigError", "ConfigErrors", "JobError", "JobFailed", "JobsFailed"):
            yield f"| `dj.{name}` | {_cell(_first_line(getattr(data_juicer_sandbox, name)))} |"
        yield "\n## Base classes\n"
        yield (
            "`dj.Component` and `dj.JobRun` are for components of your code: see the"
            " [developer guide](../developer_guide.md)."
        )

    return _page(lines())


def _public(label: str, thing: Any, heading: str) -> Iterator[str]:
    """A class with its public methods and properties, or a function."""
    if isinstance(thing, property):
        yield f"{heading} {label}\n"
        yield from _sections(inspect.getdoc(thing.fget) or "")
        return
    yield f"{heading} {label}\n"
    name = label if heading == "##" else f".{label.rpartition('.')[2]}"
    yield f"```python\n{name}{_signature(thing)}\n```\n"
    yield from _sections(inspect.getdoc(thing) or "")
    if isinstance(thing, type):
        for name, member in vars(thing).items():
            if name == "__getitem__":
                yield "### Results[key]\n"
                yield from _sections(inspect.getdoc(member) or "")
            elif not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                yield from _public(f"{label.removeprefix('dj.')}.{name}", member, "###")


def _signature(thing: Any) -> str:
    signature = inspect.signature(thing)
    parameters = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    text = str(signature.replace(parameters=parameters)).replace("'", "").removesuffix(" -> None")
    return re.sub(r"os\.PathLike\[str\]", "PathLike", text)


def _sections(docstring: str) -> Iterator[str]:
    """A docstring in Google's style: its text, arguments, result, errors and examples."""
    text, *sections = re.split(r"^(Args|Returns|Raises|Example):\n", docstring, flags=re.MULTILINE)
    yield f"{text.strip()}\n"
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        body = textwrap.dedent(body).strip()
        if title == "Example":
            yield f"```pycon\n{body}\n```\n"
        elif title == "Returns":
            yield f"Returns: {' '.join(body.split())}\n"
        else:
            yield from ("Raises:\n" for _ in [0] if title == "Raises")
            entries = re.findall(r"^(\w+): (.*(?:\n .*)*)", body, flags=re.MULTILINE)
            yield from (f"- `{name}`: {' '.join(entry.split())}" for name, entry in entries)
            yield ""


def _first_line(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


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
    """Text in a table: `<` outside of code would be read as an HTML tag."""
    code_and_text = text.replace("|", "\\|").replace("\n", " ").split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(code_and_text))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
