"""The options that `run`, `validate` and `plan` share: every top-level key of a config is a flag and an environment
variable too, and the flag wins over the variable, the variable over the file. `--trust-checkpoint` is a flag only.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from data_juicer_sandbox.config.keys import KEYS
from data_juicer_sandbox.config.limits import check_limits
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.secrets import mask_text

ENVIRONMENT = "DJ_SANDBOX"
TRUST = "--trust-checkpoint"
TRUST_VARIABLE = f"{ENVIRONMENT}_TRUST_CHECKPOINT"
"""What jsonargparse would read in place of the flag. It is ignored: a variable that was set once would trust every
checkpoint, also one that somebody else gave.
"""


def parser(command: str, description: str, epilog: str | None = None) -> Any:
    """The parser of a command that takes a config."""
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    made = ArgumentParser(
        prog="dj-sandbox" if command == "run" else f"dj-sandbox {command}",
        description=description,
        epilog=epilog,
        env_prefix=ENVIRONMENT,
        default_env=True,
        exit_on_error=False,
        formatter_class=argparse.RawDescriptionHelpFormatter if epilog else argparse.HelpFormatter,
    )
    made.add_argument(
        "--config", type=str, metavar="FILE", default=argparse.SUPPRESS, help="the YAML or JSON file of the run"
    )
    if command in ("run", "plan"):
        made.add_argument(
            TRUST,
            action="store_true",
            help="read a checkpoint of an earlier version that holds Python objects; only if it is your own",
        )
    for key in KEYS.values():
        switch: dict[str, Any] = {"nargs": "?", "const": True} if key.type is bool else {}
        word = {bool: "true|false", int: "N", list | dict | None: "YAML"}.get(key.type, "VALUE")
        made.add_argument(
            f"--{key.name}", type=key.type, default=argparse.SUPPRESS, metavar=word, help=key.help, **switch
        )
    return made


def read(made: Any, arguments: list[str]) -> tuple[dict[str, Any], dict[str, Any]] | int:
    """Parse the command line.

    Returns:
        the options of the command itself, `config` among them, and the top-level keys that were given; or the exit
        code, where there is nothing more to do (`--help`, wrong usage).
    """
    try:
        _check_texts(arguments)
        if os.environ.pop(TRUST_VARIABLE, None) is not None:
            print(f"dj-sandbox: {TRUST_VARIABLE} is ignored: {TRUST} is a flag only", file=sys.stderr)
    except ConfigError as error:
        print(f"dj-sandbox: {error}", file=sys.stderr)
        return 2
    try:
        given = made.parse_args(arguments).as_dict()
    except argparse.ArgumentError as error:
        print(mask_text(f"dj-sandbox: {' '.join(str(error).split())} (see --help)"), file=sys.stderr)
        return 2
    overrides = {name: given.pop(name) for name in list(given) if name in KEYS}
    if "config" not in given:
        print("dj-sandbox: --config FILE is missing (see `dj-sandbox cp` for a config to start from)", file=sys.stderr)
        return 2
    return given, overrides


def _check_texts(arguments: list[str]) -> None:
    """Refuse values of flags and variables that are nested too deeply or unfold to too much: all are read as YAML.

    Raises:
        ConfigError: one is; names the flag or variable.
    """
    flag = "the command line"
    for argument in arguments:
        if argument.startswith("--"):
            flag, _, value = argument.partition("=")
            check_limits(value, flag)
        else:
            check_limits(argument, flag)
    for key in KEYS.values():
        name = f"{ENVIRONMENT}_{key.name.upper()}"
        check_limits(os.environ.get(name, ""), name)
