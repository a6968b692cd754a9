"""`dj-sandbox plan --config x.yaml`: each job, what it reads, whether it will run, and why."""

from __future__ import annotations

import sys

from data_juicer_sandbox.cli import options
from data_juicer_sandbox.errors import ConfigErrors, SandboxError

NAME = "plan"


def run(arguments: list[str]) -> int:
    """Print the plan; returns the exit code."""
    read = options.read(options.parser(NAME, "Show each job, what it reads, whether it will run, and why."), arguments)
    if isinstance(read, int):
        return read
    from data_juicer_sandbox import api
    from data_juicer_sandbox.config.loader import load_or_raise
    from data_juicer_sandbox.terminal.progress import view_for

    given, overrides = read
    try:
        config = load_or_raise(given["config"], overrides)
        steps = api.plan(config, trust_checkpoint=given.get("trust_checkpoint", False))
    except ConfigErrors:
        from data_juicer_sandbox.cli import validate

        return validate.run(arguments)  # says all that is wrong, also what only the second look finds
    except SandboxError as error:
        print(options.refusal(error), file=sys.stderr)
        return error.exit_code
    rows = [
        ["run" if step.runs else "keep", step.view.job.label, step.view.job.hook, ", ".join(step.reads), step.reason]
        for step in steps
    ]
    running = sum(step.runs for step in steps)
    screen = view_for(sys.stdout)
    screen.table(f"{running} of {len(steps)} jobs would run", ["", "job", "hook", "reads from", "why"], rows)
    if not config.resume and any(not step.record for step in steps):
        screen.message("without `resume: true` every run starts from the beginning")
    return 0
