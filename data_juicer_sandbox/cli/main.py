"""`dj-sandbox`: finds the command and imports only that one."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from data_juicer_sandbox.terminal.streams import flush_stdout, surviving_outputs

if TYPE_CHECKING:
    from argparse import ArgumentParser

COMMANDS = {
    "run": "run a config (the default: `dj-sandbox FILE`)",
    "validate": "validate a config without running it: show all errors, with file and line",
    "plan": "show the execution plan (dry run): which jobs will run, which are kept, and why",
    "status": "show what a run is doing now, from another terminal",
    "report": "write the HTML report of a run",
    "compare": "compare the metrics and configs of runs",
    "list": "list hooks and components, or show one with its parameters",
    "init": "write a commented config for your own data",
    "cp": "copy an example config, or list them",
    "migrate": "rewrite a config of the original implementation",
}
PRINT = "--print_config"
_CONFIG_COMMANDS = ("run", "validate", "plan")
_MODULES = {"list": "list", "cp": "copy"}


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit code (0 done, 1 a job failed, 2 bad config or usage, 130 interrupted)."""
    # The streams stay as they are until the interpreter's own last flush, unless somebody calls this from Python.
    with surviving_outputs(restore=arguments is not None):
        arguments = sys.argv[1:] if arguments is None else arguments
        try:
            code = _main(arguments)
        except SystemExit as exit_:  # argparse, after `--help` or an error; or a component of the user's
            code = exit_code(exit_)
        # The results of a run are its files: it continues without a terminal. Another command's result is its output.
        is_run = _command(arguments) == "run" and not {PRINT, "--version", "--help", "-h"}.intersection(arguments)
        if code == 0 and not is_run and (reason := flush_stdout()):
            print(f"dj-sandbox: the output could not be written: {reason}", file=sys.stderr)
            return 2
        return code


def exit_code(error: SystemExit) -> int:
    """The exit code that the interpreter would use: a text is printed, and means 1."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return 1


def _main(arguments: list[str]) -> int:
    if arguments[:1] == ["--version"]:
        from data_juicer_sandbox import __version__

        print(f"dj-sandbox {__version__}")
        return 0
    command = _command(arguments)
    first = arguments[0] if arguments else "-"
    if first not in COMMANDS and not first.startswith("-") and not _is_config(first):
        from data_juicer_sandbox.config.suggestions import suggest

        print(f"dj-sandbox: unknown command {arguments[0]!r} ({suggest(arguments[0], COMMANDS)})", file=sys.stderr)
        return 2
    rest = arguments[1:] if arguments[:1] == [command] else arguments
    module = command_module(command)
    try:
        if command == "run":
            return int(module.run(rest, _epilog()))
        if command in _CONFIG_COMMANDS:
            return int(module.run(rest))
        return int(module.run(command_parser(command).parse_args(rest)))
    except KeyboardInterrupt:
        return 130


def _is_config(argument: str) -> bool:
    """Whether the first argument is a config rather than the name of a command."""
    return argument.endswith((".yaml", ".yml", ".json")) or Path(argument).is_file()


def _command(arguments: list[str]) -> str:
    return arguments[0] if arguments and arguments[0] in COMMANDS else "run"


def command_parser(command: str) -> ArgumentParser:
    """The parser of a command, for its `--help` and for the reference pages."""
    module = command_module(command)
    if command == "run":
        return module.parser(_epilog())
    if command in _CONFIG_COMMANDS:
        return module.parser()
    import argparse

    parser = argparse.ArgumentParser(prog=f"dj-sandbox {command}", description=module.HELP)
    module.add_arguments(parser)
    return parser


def command_module(command: str) -> ModuleType:
    """The module of a command."""
    return import_module(f"data_juicer_sandbox.cli.{_MODULES.get(command, command)}")


def _epilog() -> str:
    lines = ["commands:", *(f"  dj-sandbox {name:<9} {text}" for name, text in COMMANDS.items())]
    lines.append(
        "each command has --help; DJ_SANDBOX_<NAME> in the environment sets an option (except --trust-checkpoint)"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
