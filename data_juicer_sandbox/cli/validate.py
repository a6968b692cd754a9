"""`dj-sandbox validate --config x.yaml`: everything that is wrong with it, at once."""

from __future__ import annotations

import sys

from data_juicer_sandbox.cli import options
from data_juicer_sandbox.errors import ConfigErrors
from data_juicer_sandbox.secrets import mask_text

NAME = "validate"


def run(arguments: list[str]) -> int:
    """Check a config; returns 0 where it is good, 2 where it is not."""
    read = options.read(options.parser(NAME, "Find all errors of a config, with file and line."), arguments)
    if isinstance(read, int):
        return read
    from data_juicer_sandbox.config.loader import load
    from data_juicer_sandbox.validation import validate

    given, overrides = read
    config, problems = load(given["config"], overrides)
    if config is not None:
        findings = validate(config)
        problems = [*problems, *findings.problems]
        for warning in findings.warnings:
            print(mask_text(f"warning: {warning}"), file=sys.stderr)
    if problems or config is None:
        print(options.refusal(ConfigErrors(problems)), file=sys.stderr)
        return 2
    count = len(list(config.jobs()))
    print(f"{given['config']} is good: {len(config.pipelines)} pipeline(s), {count} job(s)")
    return 0
