"""`dj-sandbox validate --config x.yaml`: everything that is wrong with it, at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_juicer_sandbox.cli import options
from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.errors import ConfigErrors

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

NAME = "validate"


def parser() -> ArgumentParser:
    """The command's parser."""
    return options.parser(NAME, "Validate a config without running it: show all errors, with file and line.")


def run(arguments: list[str]) -> int:
    """Check a config; returns 0 where it is good, 2 where it is not."""
    read = options.read(parser(), arguments)
    if isinstance(read, int):
        return read
    from data_juicer_sandbox.api import Sandbox

    settings, overrides = read
    try:
        sandbox = Sandbox(
            settings["config"],
            untrusted=settings.get("untrusted", False),
            set=settings.get("set"),
            **overrides,
        )
        warnings = sandbox.validate(plugins=not settings.get("no_plugins", False))
    except ConfigErrors as error:
        _print_warnings(error.warnings)
        print(options.refusal(error), file=sys.stderr)
        return error.exit_code
    _print_warnings(warnings)
    config = sandbox.config
    say(f"{settings['config']} is valid: {len(config.pipelines)} pipeline(s), {len(list(config.jobs()))} job(s)")
    return 0


def _print_warnings(warnings: Sequence[str]) -> None:
    for warning in warnings:
        complain(f"warning: {warning}")
