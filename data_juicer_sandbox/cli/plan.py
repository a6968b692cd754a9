"""`dj-sandbox plan --config x.yaml`: each job, what it reads, whether it will run, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from data_juicer_sandbox.cli import options
from data_juicer_sandbox.control_characters import escape_controls
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.secrets import mask_text

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

NAME = "plan"


def parser() -> ArgumentParser:
    """The command's parser."""
    return options.parser(
        NAME, "Show the execution plan (dry run): for each job its inputs, whether it will run, and why."
    )


def run(arguments: list[str]) -> int:
    """Print the plan; returns the exit code."""
    read = options.read(parser(), arguments)
    if isinstance(read, int):
        return read
    from data_juicer_sandbox.api import Sandbox
    from data_juicer_sandbox.terminal.progress import view_for

    settings, overrides = read
    try:
        flags = {name: settings.get(name, False) for name in ("trust_checkpoint", "untrusted")}
        plan = Sandbox(settings["config"], **flags, set=settings.get("set"), **overrides).plan(
            force=settings.get("force", ()), from_job=settings.get("from", ())
        )
    except SandboxError as error:
        print(options.refusal(error), file=sys.stderr)
        return error.exit_code
    screen = view_for(sys.stdout)
    screen.table(plan.table.title, plan.table.columns, plan.table.rows)
    for note in plan.notes:
        screen.message(note)
    if not plan.resume and any(not step.record for step in plan):
        screen.message("without `resume: true` every run starts from the beginning")
    for missing in plan.not_installed:
        print(escape_controls(mask_text(f"warning: {missing}")), file=sys.stderr)
    return 0
