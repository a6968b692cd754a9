"""The options that `run`, `validate` and `plan` share: every top-level key of a config is a flag and an environment
variable too, and the flag wins over the variable, the variable over the file. `--trust-checkpoint` is a flag only.

The parser of the command line takes every value as text. The values are read as those of a config file are, within
the same limits.
"""

from __future__ import annotations

import argparse
import os
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from data_juicer_sandbox.config.keys import KEYS, Key
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.control_characters import escape_controls
from data_juicer_sandbox.errors import ConfigError, SandboxError
from data_juicer_sandbox.secrets import mask_text, shorten
from data_juicer_sandbox.types import ConfigValues, JsonValue, LibraryObject

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

_TEXT_ONLY = "dj_sandbox_text"
ENVIRONMENT = "DJ_SANDBOX"
TRUST = "--trust-checkpoint"
UNTRUSTED, NO_PLUGINS = "--untrusted", "--no-plugins"
FORCE = {
    "--force": "redo this job although nothing has changed, and the jobs that read from it: <pipeline>.<meta_name> or "
    "<meta_name>; may be repeated, or hold several with commas between; implies --resume true",
    "--from": "redo this job and all jobs after it in the order of the run; implies --resume true",
}
TRUST_VARIABLE = f"{ENVIRONMENT}_TRUST_CHECKPOINT"
"""What jsonargparse would read in place of the flag. It is ignored: a variable that was set once would trust every
checkpoint, also one that somebody else gave.
"""
_LINE = 3_000
"""Characters of a line about a fault; it may name what is in a config."""
_SHOWN = 500
"""Characters of a message about the command line; it may hold a whole argument."""


def parser(command: str, description: str, epilog: str | None = None) -> ArgumentParser:
    """The parser of a command that takes a config."""
    from jsonargparse import ArgumentParser, set_loader, set_parsing_settings

    set_loader(_TEXT_ONLY, lambda text: text)
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    argument_parser = ArgumentParser(
        prog="dj-sandbox" if command == "run" else f"dj-sandbox {command}",
        description=description,
        epilog=epilog,
        env_prefix=ENVIRONMENT,
        default_env=True,
        parser_mode=_TEXT_ONLY,
        exit_on_error=False,
        formatter_class=argparse.RawDescriptionHelpFormatter if epilog else argparse.HelpFormatter,
    )
    argument_parser.add_argument(
        "file", nargs="?", type=str, metavar="FILE", default=argparse.SUPPRESS, help="the YAML or JSON file of the run"
    )
    argument_parser.add_argument(
        "--config", type=str, metavar="FILE", default=argparse.SUPPRESS, help="the same as FILE"
    )
    argument_parser.add_argument(
        "--set",
        action="append",
        type=str,
        metavar="KEY=VALUE",
        default=argparse.SUPPRESS,
        help="set one value, in YAML: pipelines.<pipeline>.<meta_name>.extra_configs.<key>=..., <op>.<argument>=..., "
        "vars.<name>=..., or a top-level key; may be repeated",
    )
    if command in ("run", "plan"):
        argument_parser.add_argument(
            TRUST,
            action="store_true",
            help="read a checkpoint of an earlier version that holds Python objects; only if it is your own",
        )
        for flag, text in FORCE.items():
            argument_parser.add_argument(
                flag, action="append", type=str, metavar="JOB", default=argparse.SUPPRESS, help=text
            )
    argument_parser.add_argument(
        UNTRUSTED,
        action="store_true",
        help="the config is somebody else's: refuse what could run its author's code, reach a server, or write outside "
        "of the current folder",
    )
    if command == "validate":
        argument_parser.add_argument(
            NO_PLUGINS, action="store_true", help="import no code but this program's own; tells what is not checked"
        )
    for key in KEYS.values():
        switch: dict[str, LibraryObject] = {"nargs": "?", "const": "true"} if key.type is bool else {}
        word = {bool: "true|false", int: "N", list | dict | None: "YAML"}.get(key.type, "VALUE")
        argument_parser.add_argument(
            f"--{key.name}", type=str, default=argparse.SUPPRESS, metavar=word, help=key.help, **switch
        )
    return argument_parser


def read(argument_parser: ArgumentParser, arguments: list[str]) -> tuple[ConfigValues, ConfigValues] | int:
    """Parse the command line.

    Returns:
        the options of the command itself, `config` among them, and the top-level keys that were set; or the exit
        code, where there is nothing more to do (`--help`, wrong usage).
    """
    if os.environ.pop(TRUST_VARIABLE, None) is not None:
        print(f"dj-sandbox: {TRUST_VARIABLE} is ignored: {TRUST} is a flag only", file=sys.stderr)
    _warn_of_variables()
    try:
        options = argument_parser.parse_args(arguments).as_dict()
    except argparse.ArgumentError as error:
        message = shorten(" ".join(str(error).split()), _SHOWN, "...")
        print(escape_controls(mask_text(f"dj-sandbox: {message} (see --help)")), file=sys.stderr)
        return 2
    try:
        overrides = {
            name: _value(KEYS[name], options.pop(name), _source(name, arguments))
            for name in list(options)
            if name in KEYS
        }
        if "set" in options:
            options["set"] = _assignments(options["set"])
    except ConfigError as error:
        print(refusal(error), file=sys.stderr)
        return 2
    files = [options[name] for name in ("file", "config") if name in options]
    if not files:
        print("dj-sandbox: the config FILE is missing (see `dj-sandbox init` and `dj-sandbox cp`)", file=sys.stderr)
        return 2
    if "file" in options and "config" in options and _is_flag("--config", arguments):
        print(f"dj-sandbox: two configs are named: {files[0]} and --config {files[1]}", file=sys.stderr)
        return 2
    options.pop("file", None)
    options["config"] = files[0]
    return options, overrides


def _warn_of_variables() -> None:
    """Warn about empty variables, and those that begin like this program's, which a misspelt one does."""
    names = [f"{ENVIRONMENT}_{name.upper()}" for name in (*KEYS, "config", "set", "force", "from")]
    for name in sorted(os.environ):
        if not name.startswith(f"{ENVIRONMENT}_"):
            continue
        if name not in (*names, f"{ENVIRONMENT}_FILE"):
            fault = f"is unknown and ignored ({suggest(name, names)})"
        elif not os.environ[name]:
            fault = "is empty"
        else:
            continue
        print(f"dj-sandbox: warning: the environment variable {name[:_SHOWN]} {fault}", file=sys.stderr)


def _assignments(entries: str | list[str]) -> ConfigValues:
    """The values of `--set` by key.

    Raises:
        ConfigError: one is not KEY=VALUE, or its value is not YAML.
    """
    assignments: ConfigValues = {}
    for entry in [entries] if isinstance(entries, str) else entries:
        name, equals, text = entry.partition("=")
        if not name or not equals:
            raise ConfigError(f"{shorten(repr(entry), _SHOWN)} is not KEY=VALUE", where="--set")
        assignments[name] = parse(text, f"--set {name}").value
    return assignments


def _is_flag(flag: str, arguments: list[str]) -> bool:
    return any(argument.partition("=")[0] == flag for argument in arguments)


def refusal(error: SandboxError) -> str:
    """An error for the terminal, each of its lines masked and of bounded length."""
    return "\n".join(shorten(line, _LINE, "...") for line in f"dj-sandbox: {error}".split("\n"))


def _source(name: str, arguments: list[str]) -> str:
    """The flag or variable that a key's value comes from."""
    flag = f"--{name}"
    return flag if _is_flag(flag, arguments) else f"{ENVIRONMENT}_{name.upper()}"


def _value(key: Key, text: str, source: str) -> JsonValue:
    """The value of a flag or variable. Whether its type is right, the config's reader says.

    Raises:
        ConfigError: it is not valid YAML or expands to too much, and the key does not accept plain text.
    """
    choices = get_args(key.type) if isinstance(key.type, types.UnionType) else (key.type,)
    if str in choices and not {list, dict}.intersection(choices):
        if text.encode(errors="replace").decode() != text:
            raise ConfigError("its value is not UTF-8", where=source)
        return None if text == "null" and type(None) in choices else text
    try:
        value = parse(text, source).value
    except ConfigError:
        if str in choices and text.lstrip()[:1] not in ("[", "-", "{"):
            return text
        raise
    return value if str not in choices or isinstance(value, (list, dict, str, type(None))) else text


def add_work_dir(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the work directory of a run."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("path", nargs="?", metavar="DIR", help="the run's work directory, or its config")
    which.add_argument("--work_dir", metavar="DIR", help="the run's work directory")
    which.add_argument("--config", metavar="FILE", help="the run's config, which names its work directory")


def work_dir_of(args: argparse.Namespace) -> str:
    """The work directory that the arguments name.

    Raises:
        ConfigError: they name a config that cannot be read.
    """
    config = args.config or (args.path if args.path and Path(args.path).is_file() else None)
    if config is None:
        return str(args.work_dir or args.path)
    from data_juicer_sandbox.config.loader import load_or_raise

    return load_or_raise(config).work_dir
