"""`dj-sandbox migrate OLD.yaml`: rewrite a config of the original implementation."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.cli.options import refusal
from data_juicer_sandbox.errors import ConfigError, SandboxError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.installation import program

if TYPE_CHECKING:
    from data_juicer_sandbox.migrate.migration import Migration

NAME = "migrate"
HELP = "rewrite a config of the original implementation; the old files stay as they are"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("old", metavar="OLD", help="the config of the original, YAML or JSON")
    parser.add_argument(
        "-o",
        "--output",
        metavar="NEW",
        help="the new config, or its folder; - prints it (default: <name>.migrated.yaml beside the old one)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def run(args: argparse.Namespace) -> int:
    """Migrate, print each change; returns the exit code."""
    from data_juicer_sandbox.migrate.migration import migrate

    messages = sys.stderr if args.output == "-" else sys.stdout
    output = args.output
    if output == "":
        complain("dj-sandbox: the output is empty (-o NEW.yaml)")
        return 2
    if output not in (None, "-") and (Path(output).is_dir() or output.endswith("/")):
        output = str(Path(output) / f"{Path(args.old).stem}.yaml")
    try:
        migration = migrate(args.old, output)
        for change in migration.changes:
            say(str(change), file=messages)
        if not migration.files:
            say(f"{args.old}: nothing to migrate", file=messages)
            if args.output == "-":
                sys.stdout.write(Path(args.old).read_text(encoding="utf-8-sig"))
            return 0
        _write(migration, args.old, args.output == "-", args.force)
    except OSError as error:
        complain(f"dj-sandbox: {error.filename}: {error.strerror}")
        return 2
    except SandboxError as error:
        print(refusal(error), file=sys.stderr)
        return 2
    changes, warnings = len(migration.changes) - len(migration.warnings), len(migration.warnings)
    written = ", ".join(file.path for file in reversed(migration.files) if file.path != "-")
    summary = f"{changes} change(s), {warnings} difference(s) to read (# migrate: ...)"
    say(f"{summary}; written: {written}" if written else summary, file=messages)
    if written:
        say(f"next: {program()} validate --config {shlex.quote(migration.files[-1].path)}", file=messages)
    return 0


def _write(migration: Migration, config: str, to_stdout: bool, force: bool) -> None:
    """Write the new files.

    Raises:
        ConfigError: a file exists, or would replace an old one.
    """
    files = [file for file in migration.files if file.path != "-"]
    if to_stdout and files:
        names = ", ".join(file.old_path for file in files)
        what = f"files that {config} names change, too: {names}"
        raise ConfigError(what, hint="write to a file, with -o NEW.yaml")
    inputs = {os.path.realpath(path) for path in migration.old_files}
    for file in files:
        if os.path.realpath(file.path) in inputs:
            raise ConfigError(f"{file.path} is one of the old files", hint="choose another output")
        if os.path.lexists(file.path) and not force:
            raise ConfigError(f"{file.path} exists", hint="use --force to overwrite it")
    for file in migration.files:
        if file.path == "-":
            sys.stdout.write(file.text)
            continue
        with replacing(Path(file.path)) as part:
            part.write_text(file.text, encoding="utf-8", newline="")
