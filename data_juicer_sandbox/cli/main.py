"""`dj-sandbox`: finds the command and imports only that one."""

from __future__ import annotations

import sys
from importlib import import_module

from data_juicer_sandbox.terminal.streams import surviving_outputs

COMMANDS = {
    "run": "run a config (the default: `dj-sandbox --config FILE`)",
    "validate": "find all errors of a config, with file and line, without running it",
    "plan": "show which jobs would run, which are kept, and why",
    "report": "draw the page of a run",
    "compare": "put runs side by side",
    "list": "list hooks and components, or show one with its parameters",
    "cp": "copy a shipped config to start from",
}
_CONFIG_COMMANDS = ("run", "validate", "plan")
_MODULES = {"list": "list", "cp": "copy"}


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit code (0 done, 1 a job failed, 2 bad config or usage, 130 interrupted)."""
    # The streams stay as they are until the interpreter's own last flush, unless somebody calls this from Python.
    with surviving_outputs(restore=arguments is not None):
        return _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: list[str]) -> int:
    if arguments[:1] == ["--version"]:
        from data_juicer_sandbox import __version__

        print(f"dj-sandbox {__version__}")
        return 0
    command = arguments[0] if arguments and arguments[0] in COMMANDS else "run"
    if arguments and arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
        from data_juicer_sandbox.config.suggestions import suggest

        print(f"dj-sandbox: unknown command {arguments[0]!r} ({suggest(arguments[0], COMMANDS)})", file=sys.stderr)
        return 2
    rest = arguments[1:] if arguments[:1] == [command] else arguments
    module = import_module(f"data_juicer_sandbox.cli.{_MODULES.get(command, command)}")
    try:
        if command == "run":
            return int(module.run(rest, _epilog()))
        if command in _CONFIG_COMMANDS:
            return int(module.run(rest))
        return _simple(command, module, rest)
    except KeyboardInterrupt:
        return 130


def _simple(command: str, module: object, rest: list[str]) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog=f"dj-sandbox {command}", description=module.HELP)  # type: ignore[attr-defined]
    module.add_arguments(parser)  # type: ignore[attr-defined]
    return int(module.run(parser.parse_args(rest)))  # type: ignore[attr-defined]


def _epilog() -> str:
    lines = ["commands:", *(f"  dj-sandbox {name:<9} {text}" for name, text in COMMANDS.items())]
    lines.append(
        "each takes --help; every option above is an environment variable DJ_SANDBOX_<NAME> too, but --trust-checkpoint"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
